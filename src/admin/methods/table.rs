//! The methods: what each takes, gives and may refuse, with an example that runs as a test.

use crate::admin::records::MAX_LIST;
use crate::admin::service::{MAX_VM_ID, MAX_VM_URL};

/// A method.
#[derive(Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The rest.
    pub description: &'static str,
    /// Its parameters in their order; the required ones first.
    pub params: &'static [Param],
    /// The result's name and its schema's, or an array of it.
    pub result: (&'static str, Shape),
    /// The reasons that it may refuse with, beside those of JSON-RPC itself.
    pub errors: &'static [&'static str],
    /// Whether it exists for its answer, so that a notification of it is not carried out.
    pub needs_answer: bool,
    /// The example: parameters and result, as JSON.
    pub example: (&'static str, &'static str),
}

/// A method's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One of these.
    One(&'static str),
    /// A list of these.
    Many(&'static str),
}

/// A parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of so many bytes at most.
    Text {
        /// The most.
        max: usize,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number up to this.
    Count {
        /// The most.
        max: u64,
    },
}

const fn needs(name: &'static str, max: usize, doc: &'static str) -> Param {
    Param { name, kind: Kind::Text { max }, required: true, doc }
}

const fn takes(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: false, doc }
}

/// The longest text of a person that is read at all; what is too long for the forge is told of field by field.
const TEXT: usize = 1024;

const FORGE: [&str; 2] = ["admin_token", "forge_unavailable"];

/// All that can be called.
pub const METHODS: &[Method] = &[
    Method {
        name: "deployer.create_user",
        summary: "Makes an account at the forge, with a first password to hand over.",
        description: "An account that is there already is returned with initial_password null, and nothing of it is \
                      changed: so it is safe to repeat. The password is in this one answer; it must be changed at the \
                      first sign-in. If it was lost, call deployer.reset_password.",
        params: &[
            needs(
                "username",
                TEXT,
                "The name to have at the forge: 1 to 40 letters, digits, `_`, `-` and `.`.",
            ),
            takes("display_name", Kind::Text { max: TEXT }, "The name for people, 100 characters at most."),
            takes("email", Kind::Text { max: TEXT }, "The address; without one a placeholder is made up."),
        ],
        result: ("created", Shape::One("CreateUserOutput")),
        errors: &[
            "invalid_fields",
            FORGE[0],
            FORGE[1],
            "taken_by_organization",
            "renamed",
            "password_rule",
            "password_lost",
            "uncertain",
            "records_unavailable",
            "stopping",
        ],
        needs_answer: true,
        example: (
            r#"{"username":"alice","display_name":"Alice Example"}"#,
            r#"{"user_id":"u00112233445566778899","forge_username":"alice","initial_password":"Zt4rQm8vXk2pLw9sYd6hBn3cJf7gTa5e"}"#,
        ),
    },
    Method {
        name: "deployer.get_user",
        summary: "Tells of one user, as the forge says now.",
        description: "While the forge does not answer: as it said last.",
        params: &[needs("user_id", 64, "The user_id that create_user gave.")],
        result: ("user", Shape::One("User")),
        errors: &["no_such_user", "records_unavailable"],
        needs_answer: false,
        example: (
            r#"{"user_id":"u00112233445566778899"}"#,
            r#"{"user_id":"u00112233445566778899","forge_id":7,"forge_username":"alice","display_name":"Alice Example","email":"alice@nomail.demo.ourworld.tf","vm_count":0,"created_at":"2027-01-15T08:00:00Z","last_activity":null,"state":"active"}"#,
        ),
    },
    Method {
        name: "deployer.assign_vm",
        summary: "Writes down that a VM is a user's. Experimental.",
        description: "So that vm_count is real; nothing reaches the VM. Again for the same user: the address changes.",
        params: &[
            needs("user_id", 64, "Whose it is."),
            needs("vm_id", MAX_VM_ID, "The VM's id, as the deployer names it."),
            takes("url", Kind::Text { max: MAX_VM_URL }, "Where it is reached: an http or https URL."),
        ],
        result: ("assignment", Shape::One("Assignment")),
        errors: &["no_such_user", "vm_taken", "too_many_vms", "records_unavailable"],
        needs_answer: false,
        example: (
            r#"{"user_id":"u00112233445566778899","vm_id":"vm-1","url":"https://vm1.example.org"}"#,
            r#"{"vm_id":"vm-1","user_id":"u00112233445566778899"}"#,
        ),
    },
    Method {
        name: "deployer.list_users",
        summary: "Lists users by search, order and page.",
        description: "Each was compared with the forge a minute ago at most, unless it does not answer.",
        params: &[
            takes(
                "search",
                Kind::Text { max: TEXT },
                "Part of a name, a display name or an e-mail address; upper and lower case alike (A to Z).",
            ),
            takes(
                "sort",
                Kind::Word(&["forge_username", "display_name", "vm_count", "created_at", "last_activity"]),
                "What to sort by; forge_username if absent.",
            ),
            takes("order", Kind::Word(&["asc", "desc"]), "asc if absent."),
            takes("limit", Kind::Count { max: MAX_LIST }, "How many at most; 50 if absent."),
            takes(
                "offset",
                Kind::Count { max: 1_000_000_000 },
                "How many to leave out in front; 0 if absent.",
            ),
        ],
        result: ("users", Shape::Many("User")),
        errors: &["records_unavailable"],
        needs_answer: false,
        example: (
            r#"{"search":"ali","sort":"created_at","order":"desc","limit":10}"#,
            r#"[{"user_id":"u00112233445566778899","forge_id":7,"forge_username":"alice","display_name":"Alice Example","email":"alice@nomail.demo.ourworld.tf","vm_count":1,"created_at":"2027-01-15T08:00:00Z","last_activity":null,"state":"active"}]"#,
        ),
    },
    Method {
        name: "deployer.reset_password",
        summary: "Gives a user a new first password to hand over.",
        description: "It must be changed at the next sign-in. The forge ends no session and no token at a reset, but lets \
                      none of them do anything until the password was changed.",
        params: &[needs("user_id", 64, "The user_id that create_user gave.")],
        result: ("reset", Shape::One("CreateUserOutput")),
        errors: &[
            "no_such_user",
            "site_admin",
            "external_account",
            "busy",
            FORGE[0],
            FORGE[1],
            "password_rule",
            "uncertain",
            "records_unavailable",
            "stopping",
        ],
        needs_answer: true,
        example: (
            r#"{"user_id":"u00112233445566778899"}"#,
            r#"{"user_id":"u00112233445566778899","forge_username":"alice","initial_password":"Hq7nVb2xRf9kMz4tWj8pLc5sGd3yEa6u"}"#,
        ),
    },
    Method {
        name: "deployer.release_vm",
        summary: "Writes down that a VM is nobody's any more. Experimental.",
        description: "The answer says whose it was.",
        params: &[needs("vm_id", MAX_VM_ID, "The VM's id, as the deployer names it.")],
        result: ("assignment", Shape::One("Assignment")),
        errors: &["no_such_vm", "records_unavailable"],
        needs_answer: false,
        example: (r#"{"vm_id":"vm-1"}"#, r#"{"vm_id":"vm-1","user_id":"u00112233445566778899"}"#),
    },
    Method {
        name: "rpc.discover",
        summary: "Gives this document.",
        description: "An OpenRPC document of all methods.",
        params: &[],
        result: ("document", Shape::One("OpenRPC")),
        errors: &[],
        needs_answer: false,
        example: ("{}", "{}"),
    },
];
