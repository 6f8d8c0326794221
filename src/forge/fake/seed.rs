//! Who and what is there at the start.

use crate::base::secret::ClientSecret;

use super::rows::{Application, Hashed, Kind, PersonalToken, Repository, User};
use super::server::FakeForge;
use crate::base::clock::Timestamp;
use crate::wire::ForgeToken;

/// A user to add.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Sign-in name.
    pub login: String,
    /// What they type: a demo's, so it is no secret.
    pub password: String,
    /// Name for people; may be empty.
    pub full_name: String,
    /// E-mail address.
    pub email: String,
    /// Whether the password must be changed before anything else.
    pub must_change_password: bool,
    /// Whether they may use the admin API.
    pub site_admin: bool,
    /// An inactive account cannot sign in, and its e-mail counts as not verified.
    pub active: bool,
}

impl NewUser {
    /// An ordinary, active user with an address at `example.org`.
    pub fn new(login: &str, password: &str) -> Self {
        Self {
            login: login.to_owned(),
            password: password.to_owned(),
            full_name: String::new(),
            email: format!("{}@example.org", login.to_ascii_lowercase()),
            must_change_password: false,
            site_admin: false,
            active: true,
        }
    }
}

/// An OAuth application of the instance to add.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// Its name on the consent page.
    pub name: String,
    /// Its client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: ClientSecret,
    /// Where it may send people.
    pub redirect_uris: Vec<String>,
    /// Whether it can keep a secret; those are asked for consent once.
    pub confidential: bool,
}

impl NewApplication {
    /// A confidential application with one redirect URI.
    pub fn new(name: &str, client_id: &str, client_secret: &str, redirect_uri: &str) -> Self {
        Self {
            name: name.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: ClientSecret::new(client_secret),
            redirect_uris: vec![redirect_uri.to_owned()],
            confidential: true,
        }
    }
}

/// A repository to add.
#[derive(Clone, Debug)]
pub struct NewRepository {
    /// The login of its owner, who must be there.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whether only its owner and site admins see it.
    pub private: bool,
}

/// What cannot be added or found; for tests and the demo a mistake in their own script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fake forge knows no such user, application or repository")]
#[non_exhaustive]
pub struct Unknown;

impl FakeForge {
    /// Adds a user (or replaces nobody: names are not checked here) and says their id.
    pub fn add_user(&self, new: NewUser) -> u64 {
        let now = self.forge.now();
        let mut world = self.forge.world();
        let id = world.next_id("user");
        let kind = if new.site_admin { Kind::SiteAdmin } else { Kind::Person };
        let mut user = User::fresh(id, &new.login, &new.email, &new.password, kind, now);
        user.full_name = new.full_name;
        user.must_change_password = new.must_change_password;
        user.active = new.active;
        world.add_user(user);
        id
    }

    /// Makes a user a member of an organization, and of a team of it: the groups claim says `org` and `org:team`.
    pub fn add_member(&self, login: &str, organization: &str, team: Option<&str>) {
        let now = self.forge.now();
        let mut world = self.forge.world();
        if world.user_named(organization).is_none() {
            let id = world.next_id("user");
            world.add_user(User::fresh(id, organization, "", "", Kind::Organization, now));
        }
        if let Some(user) = world.user_named_mut(login) {
            let team = team.map(|team| format!("{organization}:{team}"));
            for group in std::iter::once(organization.to_owned()).chain(team) {
                if !user.groups.contains(&group) {
                    user.groups.push(group);
                }
            }
        }
    }

    /// Adds an OAuth application of the instance (no owner) and says its id.
    pub fn add_application(&self, new: NewApplication) -> u64 {
        let created = self.forge.now();
        let mut world = self.forge.world();
        let id = world.next_id("application");
        let secret = Hashed::of(new.client_secret.expose());
        let NewApplication { name, client_id, redirect_uris, confidential, .. } = new;
        let application =
            Application { id, owner: None, name, client_id, secret, confidential, redirect_uris, created };
        world.applications.insert(id, application);
        id
    }

    /// Adds a repository and says its id.
    ///
    /// # Errors
    /// [`Unknown`] without such an owner.
    pub fn add_repository(&self, new: NewRepository) -> Result<u64, Unknown> {
        let now = self.forge.now();
        let mut world = self.forge.world();
        let owner = world.user_named(&new.owner).ok_or(Unknown)?.id;
        let id = world.next_id("repository");
        world.add_repository(Repository::fresh(id, owner, new.name, new.private, now));
        Ok(id)
    }

    /// Makes a personal access token, with scopes such as `write:admin`.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn add_personal_token(&self, login: &str, scopes: &[&str]) -> Result<ForgeToken, Unknown> {
        let text = self.forge.personal_token_text();
        let mut world = self.forge.world();
        let user = world.user_named(login).ok_or(Unknown)?.id;
        let id = world.next_id("token");
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        world.tokens.insert(Hashed::of(&text), PersonalToken { user, name: format!("seed-{id}"), scopes });
        ForgeToken::new(text).map_err(|_| Unknown)
    }
}

impl User {
    /// An account as it is right after it was made.
    pub(super) fn fresh(
        id: u64,
        login: &str,
        email: &str,
        password: &str,
        kind: Kind,
        created: Timestamp,
    ) -> Self {
        Self {
            id,
            login: login.to_owned(),
            full_name: String::new(),
            email: email.to_owned(),
            password: Hashed::of(password),
            kind,
            must_change_password: false,
            active: true,
            prohibit_login: false,
            needs_second_factor: false,
            restricted: false,
            visibility: "public".to_owned(),
            description: String::new(),
            website: String::new(),
            location: String::new(),
            language: String::new(),
            login_name: String::new(),
            source_id: 0,
            created,
            last_login: Timestamp::default(),
            groups: Vec::new(),
        }
    }
}

impl Repository {
    /// A repository as it is right after it was made.
    pub(super) fn fresh(id: u64, owner: u64, name: String, private: bool, created: Timestamp) -> Self {
        Self {
            id,
            owner,
            name,
            description: String::new(),
            private,
            archived_at: None,
            created,
            updated: created,
            issues: Vec::new(),
        }
    }
}
