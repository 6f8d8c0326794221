//! The rows. Each key: its name, what it takes, what holds without it, when a change takes effect; below it, what it
//! means, as the example says it.

use super::Absent::{Is, Means, Refused};
use super::Kind::{Choice, Count, Duration, Flag, FlagOrTexts, Secret, Size, Text, Texts};
use super::Reload::{Live, Restart};
use super::{Absent, Key, Kind, Part, Reload};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const fn key(name: &'static str, kind: Kind, absent: Absent, reload: Reload, doc: &'static str) -> Key {
    Key { name, kind, absent, reload, doc }
}

/// All sections.
#[rustfmt::skip]
pub const PARTS: &[Part] = &[
    Part {
        name: "server",
        repeated: false,
        doc: "Where visitors come in.",
        keys: &[
            key("listen", Texts, Is("[\"127.0.0.1:8080\"]"), Restart,
                "Addresses to listen on: \"ADDRESS:PORT\", \"[IPv6]:PORT\" or \"unix:/path\"; several allowed. Plain HTTP: TLS ends in front."),
            key("public_url", Text, Refused, Restart,
                "What the browser sees: scheme and host, no path. Plain http only for loopback (localhost, 127.0.0.0/8, ::1)."),
            key("trusted_proxies", Texts, Is("[]"), Live,
                "Whose X-Forwarded-* headers are believed: addresses, networks (\"10.0.0.0/8\"), or \"unix\" for peers on a Unix socket. Nobody by default."),
            key("health", Text, Means("no health listener"), Restart,
                "Where /livez and /readyz are answered: a loopback address or a Unix socket of its own."),
            key("prefix", Text, Is("\"/_hero\""), Restart,
                "Our own endpoints lie below this path: /_hero/auth/login and so on."),
        ],
    },
    Part {
        name: "forge",
        repeated: false,
        doc: "The forge that visitors sign in at.",
        keys: &[
            key("url", Text, Refused, Restart,
                "The forge as the browser sees it; its issuer. Plain http only for loopback, or with allow_plaintext."),
            key("internal_url", Text, Means("the url above"), Restart,
                "What hero_proxy itself calls, if that is another address. Plain http beyond loopback needs allow_plaintext."),
            key("ca", Text, Means("the system's certificates"), Restart,
                "A PEM file with the certificates to trust for the forge, instead of the system's."),
            key("allow_plaintext", Flag, Is("false"), Restart,
                "Whether tokens and the client secret may travel to the forge unencrypted."),
            key("client_id", Text, Refused, Restart,
                "The id of the OAuth application registered at the forge; its redirect URI is public_url + prefix + \"/auth/callback\"."),
            key("client_secret", Secret, Refused, Restart,
                "Its secret: { file = \"...\" } (mode 0600), { credential = \"...\" } (systemd) or { hero_proc = \"context/KEY\" }."),
            key("scopes", Texts, Is("[\"openid\", \"profile\", \"email\", \"groups\", \"read:user\", \"write:issue\"]"), Restart,
                "What to ask the forge for. At least one API scope: without one the forge gives a token of full power. A visitor's first consent freezes them."),
            key("timeout", Duration(SECOND, 2 * MINUTE), Is("\"10s\""), Restart,
                "The longest a call to the forge may take in all; one for tokens, whose answer must not be lost, twice as long."),
        ],
    },
    Part {
        name: "features",
        repeated: false,
        doc: "What is switched on.",
        keys: &[
            key("forge_token_pass_through", Flag, Is("false"), Live,
                "The flag: whether visitors' forge tokens are passed on at all, to routes with forge_token."),
            key("without_token", Choice(&["forward", "unavailable"]), Is("\"forward\""), Live,
                "When a token is wanted and cannot be had for now: \"forward\" without it (the app falls back to the pasted one), or answer 503 (\"unavailable\")."),
            key("compat", Choice(&["none", "oauth2-proxy"]), Is("\"none\""), Live,
                "\"oauth2-proxy\" also sets X-Forwarded-User, -Email, -Groups, -Preferred-Username and -Access-Token."),
            key("reserved_headers", Texts, Is("[]"), Live,
                "More header names that clients may not send to upstreams, beside the built-in list."),
        ],
    },
    Part {
        name: "access",
        repeated: false,
        doc: "Who may pass.",
        keys: &[
            key("allow", Texts, Refused, Live,
                "\"user:alice\", \"user-id:42\", \"org:acme\", \"team:acme/ops\", \"any-user\" (whoever can sign in at the forge). No default: say who."),
        ],
    },
    Part {
        name: "session",
        repeated: false,
        doc: "How long visitors stay signed in, and where that is kept.",
        keys: &[
            key("store", Choice(&["sqlite", "memory"]), Is("\"sqlite\""), Restart,
                "\"sqlite\" survives restarts; \"memory\" forgets everybody at each start."),
            key("path", Text, Is("\"hero_proxy.db\""), Restart,
                "The SQLite file; made at first start, mode 0600."),
            key("key", Secret, Is("{ file = \"secrets/session_key\" }"), Restart,
                "The key that seals what is stored; a file is made at first start, mode 0600, only while the store is empty. Lost key: the stored sessions cannot be read."),
            key("idle", Duration(MINUTE, 365 * DAY), Is("\"7d\""), Live,
                "A session ends after so long without a request."),
            key("absolute", Duration(MINUTE, 400 * DAY), Is("\"30d\""), Live,
                "A session ends so long after its sign-in, whatever happens; browsers keep a cookie for 400 days at most."),
            key("recheck", Duration(SECOND, HOUR), Is("\"5m\""), Live,
                "How long it counts what the forge said of an account: whoever is suspended or deleted there loses access here by then, and groups are as current. The forge is asked at most once in this time for each account in use."),
        ],
    },
    Part {
        name: "routes",
        repeated: true,
        doc: "What lies behind, one section per route. The longest prefix wins, on segment borders; path and Host are passed on as they came.",
        keys: &[
            key("path", Text, Refused, Live,
                "The path prefix, starting with \"/\"."),
            key("upstream", Text, Refused, Live,
                "\"http://host:port\", \"https://host:port\" or \"unix:/path\"."),
            key("forge_token", FlagOrTexts, Is("false"), Live,
                "Whether this upstream may have the visitor's token: true, or for some visitors only: [\"user:alice\"]."),
            key("groups", FlagOrTexts, Is("false"), Live,
                "Whether this upstream may know the visitor's groups, private organizations included: true, or only these: [\"acme\", \"acme:ops\"]."),
            key("allow", Texts, Means("the list of [access]"), Live,
                "Who may pass here, instead of the list in [access]."),
            key("public", Flag, Is("false"), Live,
                "Nobody needs to sign in here."),
            key("cross_origin", Flag, Is("false"), Live,
                "Whether pages of other origins may send forms and scripts' requests that change things."),
            key("renew_on_401", Flag, Is("false"), Live,
                "Whether this upstream is believed when it answers 401 with WWW-Authenticate: Bearer error=\"invalid_token\": the visitor's token is then renewed, at most once a minute, and a request without a body whose method may be repeated is sent once more."),
            key("ca", Text, Means("the system's certificates"), Live,
                "A PEM file with the certificates to trust for an https upstream, instead of the system's."),
            key("allow_plaintext", Flag, Is("false"), Live,
                "Whether tokens may travel to an http upstream beyond loopback unencrypted."),
        ],
    },
    Part {
        name: "limits",
        repeated: false,
        doc: "Sizes, counts and times. Nothing is unbounded.",
        keys: &[
            key("max_connections", Count(1, 1_000_000), Is("10000"), Restart,
                "Client connections at once, over all listeners; one more waits."),
            key("head_timeout", Duration(SECOND, 10 * MINUTE), Is("\"30s\""), Restart,
                "How long a request's head may take, and how long a kept connection may stay unused."),
            key("client_idle_timeout", Duration(SECOND, HOUR), Is("\"60s\""), Restart,
                "How long a body may stand still because of the client: 408, or the connection ends."),
            key("max_headers", Count(16, 1000), Is("100"), Restart,
                "Header lines of a request: 431 beyond."),
            key("max_head_size", Size(8 * KIB, MIB), Is("\"64KiB\""), Restart,
                "Size of a request's head: 431 beyond."),
            key("max_target_size", Size(256, 64 * KIB), Is("\"8KiB\""), Restart,
                "Size of a request's target: 414 beyond."),
            key("max_body_size", Size(0, 1 << 50), Is("\"4GiB\""), Restart,
                "Size of a request's body: 413 beyond. Bodies are streamed, so this costs no memory."),
            key("connect_timeout", Duration(100, MINUTE), Is("\"5s\""), Live,
                "How long dialling an upstream may take, TLS included: 504 beyond."),
            key("response_timeout", Duration(SECOND, HOUR), Is("\"60s\""), Live,
                "How long an upstream may take to begin its answer: 504 beyond."),
            key("upstream_idle_timeout", Duration(SECOND, DAY), Is("\"5m\""), Live,
                "How long a body may stand still because of the upstream."),
            key("pool_idle", Duration(SECOND, HOUR), Is("\"4s\""), Live,
                "How long an unused upstream connection is kept; shorter than the upstream's own keep-alive."),
            key("max_requests_per_upstream", Count(1, 1_000_000), Is("1000"), Live,
                "Requests under way per upstream: 503 beyond."),
            key("wait", Duration(100, MINUTE), Is("\"5s\""), Live,
                "How long a request waits for the forge or the store."),
            key("token_min_ttl", Duration(SECOND, HOUR), Is("\"60s\""), Live,
                "A token with less life left is renewed before it is passed on (at most half of the life that the forge gives)."),
            key("drain", Duration(SECOND, 10 * MINUTE), Is("\"30s\""), Restart,
                "How long requests under way may take to end after SIGTERM."),
        ],
    },
    Part {
        name: "hero_proc",
        repeated: false,
        doc: "The platform's place of secrets, for those that are written { hero_proc = \"context/KEY\" }. Nobody is asked if there are none.",
        keys: &[
            key("socket", Text, Is("\"/run/hero_proc/rpc.sock\""), Live,
                "Its Unix socket. Nobody but root, our own user and the one below may own it, its folder, or listen there."),
            key("uid", Count(0, u32::MAX as u64), Means("root or our own user"), Live,
                "The number of the user that it runs as."),
            key("timeout", Duration(100, MINUTE), Is("\"2s\""), Live,
                "The longest that it may take to answer."),
            key("method", Text, Is("\"secret.get\""), Live,
                "The JSON-RPC method that reads a secret."),
            key("context", Text, Is("\"context\""), Live,
                "The method's parameter for what stands before the slash."),
            key("key", Text, Is("\"key\""), Live,
                "The method's parameter for what stands behind it."),
            key("value", Text, Is("\"value\""), Live,
                "The member with the secret, if the answer is an object and no text."),
        ],
    },
    Part {
        name: "log",
        repeated: false,
        doc: "What is told, and where. Never tokens, cookies, query strings or e-mail addresses.",
        keys: &[
            key("level", Choice(&["error", "warn", "info", "debug", "trace"]), Is("\"info\""), Restart,
                "How much; other libraries never tell more than \"info\", since they may print headers."),
            key("format", Choice(&["auto", "text", "json"]), Is("\"auto\""), Restart,
                "\"auto\": text on a terminal, json else."),
            key("access", Choice(&["stdout", "stderr", "off"]), Is("\"stdout\""), Restart,
                "Where the access log goes, one line per request; everything else goes to stderr."),
            key("lines_per_minute", Count(1, 1_000_000), Is("120"), Restart,
                "Lines of one kind in a minute, access lines apart; those beyond are counted, and the count told."),
        ],
    },
];
