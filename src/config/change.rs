//! Reload: what of a new configuration takes effect at once, and what waits for the next start. Pure.

use crate::base::secret::same;
use crate::config::Config;
use crate::config::check::{Admin, Place, Store};
use crate::config::source::SecretReference;

/// A key whose change waits for the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeedsRestart(pub &'static str);

/// The keys that differ and need a restart, in the order of the file. Several names may share one reason: where a
/// secret's content or a file of certificates changed, its key is named.
pub fn diff(old: &Config, new: &Config) -> Vec<NeedsRestart> {
    let (gate, new_gate) = (&old.gate, &new.gate);
    let (forge, new_forge) = (&old.forge, &new.forge);
    let (serve, new_serve) = (&old.serve, &new.serve);
    let (limits, new_limits) = (&serve.limits, &new_serve.limits);
    let (path, key) = store(&old.store);
    let (new_path, new_key) = store(&new.store);
    let same_secret = same(forge.client_secret.expose(), new_forge.client_secret.expose());
    let same_kind = path.is_some() == new_path.is_some();
    [
        ("server.listen", serve.listen == new_serve.listen),
        ("server.public_url", gate.public_url == new_gate.public_url),
        ("server.health", serve.health == new_serve.health),
        ("server.prefix", gate.prefix == new_gate.prefix),
        ("forge.url", forge.url == new_forge.url),
        ("forge.internal_url", forge.internal_url == new_forge.internal_url),
        ("forge.ca", forge.ca_pem == new_forge.ca_pem),
        ("forge.client_id", forge.client_id == new_forge.client_id),
        ("forge.client_secret", same_secret),
        ("forge.scopes", gate.scopes == new_gate.scopes),
        ("forge.timeout", forge.timeout == new_forge.timeout),
        ("session.store", same_kind),
        ("session.path", !same_kind || path == new_path),
        ("session.key", !same_kind || key == new_key),
        ("limits.max_connections", limits.max_connections == new_limits.max_connections),
        ("limits.head_timeout", limits.head_timeout == new_limits.head_timeout),
        ("limits.client_idle_timeout", limits.client_idle_timeout == new_limits.client_idle_timeout),
        ("limits.max_headers", limits.max_headers == new_limits.max_headers),
        ("limits.max_head_size", limits.max_head_bytes == new_limits.max_head_bytes),
        ("limits.max_target_size", limits.max_target_bytes == new_limits.max_target_bytes),
        ("limits.max_body_size", limits.max_body_bytes == new_limits.max_body_bytes),
        ("limits.drain", old.drain == new.drain),
        ("admin", old.admin.is_some() == new.admin.is_some()),
        ("admin.listen", same_of(old, new, |admin| &admin.place)),
        ("admin.public_url", same_of(old, new, |admin| &admin.public_url)),
        ("admin.token", same_of(old, new, |admin| &admin.token)),
        ("admin.path", same_of(old, new, |admin| &admin.path)),
        ("admin.socket", same_of(old, new, |admin| &admin.socket)),
        ("admin.password_symbols", same_of(old, new, |admin| &admin.password_symbols)),
        ("log.level", old.log.level == new.log.level),
        ("log.format", old.log.format == new.log.format),
        ("log.access", old.log.access == new.log.access),
        ("log.lines_per_minute", old.log.lines_per_minute == new.log.lines_per_minute),
    ]
    .into_iter()
    .filter(|(_, is_same)| !is_same)
    .map(|(key, _)| NeedsRestart(key))
    .collect()
}

/// Whether something of the admin part is the same; where there is none, old or new, there is nothing to compare.
fn same_of<T: PartialEq>(old: &Config, new: &Config, what: impl Fn(&Admin) -> &T) -> bool {
    old.admin.as_ref().zip(new.admin.as_ref()).is_none_or(|(old, new)| what(old) == what(new))
}

fn store(store: &Store) -> (Option<&std::path::Path>, Option<&SecretReference>) {
    match store {
        Store::Memory => (None, None),
        Store::Sqlite { path, key } => (Some(path), Some(key)),
    }
}

impl Config {
    /// What holds after a reload: `new`, but for the keys that need a restart, which stay as they are.
    #[must_use]
    pub fn reloaded(&self, new: Self) -> Self {
        let old = self.clone();
        // What there is, an app, an admin part, or both, was decided at the start.
        let is_alone = |config: &Self| config.admin.as_ref().is_some_and(|admin| admin.place == Place::Alone);
        if is_alone(&old) != is_alone(&new) {
            return old;
        }
        let admin = match (old.admin, &new.admin) {
            (Some(old), Some(new)) => Some(Admin {
                allow: new.allow.clone(),
                placeholder_domain: new.placeholder_domain.clone(),
                calls_per_minute: new.calls_per_minute,
                unused_after: new.unused_after,
                ..old
            }),
            (old, _) => old,
        };
        let mut next = Self {
            forge: old.forge,
            serve: old.serve,
            store: old.store,
            log: old.log,
            drain: old.drain,
            admin,
            ..new
        };
        next.gate.public_url = old.gate.public_url;
        next.gate.prefix = old.gate.prefix;
        next.gate.forge_url = old.gate.forge_url;
        next.gate.client_id = old.gate.client_id;
        next.gate.scopes = old.gate.scopes;
        next.gate.forge_timeout = old.gate.forge_timeout;
        next
    }
}
