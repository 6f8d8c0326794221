//! Pages of a signed-in user: which applications have access, how to take it back; and an issue, so that a person sees what
//! was filed under their name.

use axum::http::StatusCode;

use super::ask::Ask;
use super::page::{Html, text};
use super::reply::{Answer, Reply};
use super::rows::{Repository, User};
use super::server::Forge;
use super::sign_in::script_or_page;
use super::visitor::{self, admit, check_form, form_guard};
use super::world::World;

pub(super) fn applications(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let visitor = admit(forge, &world, ask)?;
    let mut page = Html::new()
        .add("<h1>Applications</h1>")
        .say("These applications have access to your account. Revoke one, and its tokens die at once.");
    for grant in world.grants.values().filter(|grant| grant.user == visitor.user) {
        let name =
            world.applications.get(&grant.application).map_or("?", |application| application.name.as_str());
        let action = format!("/user/settings/applications/oauth2/{}/revoke/{}", grant.application, grant.id);
        page = page
            .add(&format!("<div class=\"box\"><strong>{}</strong>", text(name)))
            .say(&format!("With scopes: {}.", grant.scope))
            .form(&action, &form_guard(forge, ask))
            .add("<button type=\"submit\">Revoke</button></form></div>\n");
    }
    let page =
        page.say("A real forge makes tokens by hand here, too. This one makes no tokens by hand; `hero_proxy demo --flag off` \
                  prints one to paste.");
    Ok(Reply::html(StatusCode::OK, page.page("Applications")))
}

pub(super) fn revoke(forge: &Forge, ask: &Ask) -> Answer {
    check_form(forge, ask)?;
    let mut world = forge.world();
    let visitor = admit(forge, &world, ask)?;
    let id = ask.number("grant");
    if world.grants.get(&id).is_none_or(|grant| grant.user != visitor.user) {
        return Err(not_found());
    }
    world.remove_grant(id);
    Ok(script_or_page(ask, "/user/settings/applications").flash(forge, "Access revoked successfully."))
}

/// Whether somebody may see a repository: public ones all, private ones their owner and site admins.
pub(super) fn is_visible(world: &World, repository: &Repository, viewer: Option<u64>) -> bool {
    let viewer = viewer.and_then(|viewer| world.users.get(&viewer));
    !repository.private || viewer.is_some_and(|user| user.id == repository.owner || user.is_admin())
}

fn visible<'a>(forge: &Forge, world: &'a World, ask: &Ask) -> Option<(&'a User, &'a Repository)> {
    let viewer = visitor::signed_in(forge, world, ask).map(|visitor| visitor.user);
    let owner = world.user_named(ask.param("owner"))?;
    let repository = world.repository_of(owner.id, ask.param("repo"))?;
    is_visible(world, repository, viewer).then_some((owner, repository))
}

pub(super) fn issue(forge: &Forge, ask: &Ask) -> Reply {
    let world = forge.world();
    let Some((owner, repository)) = visible(forge, &world, ask) else { return not_found() };
    let number = ask.number("number");
    let Some(issue) = repository.issues.iter().find(|issue| issue.number == number) else {
        return not_found();
    };
    let author = world.users.get(&issue.author).map_or("Ghost", |user| user.display_name());
    let login = world.users.get(&issue.author).map_or("ghost", |user| user.login.as_str());
    let list = format!("/{}/{}/issues", owner.login, repository.name);
    let page = Html::new()
        .add(&format!(
            "<p><a href=\"{}\">{}/{}</a></p>",
            text(&list),
            text(&owner.login),
            text(&repository.name)
        ))
        .add(&format!("<h1>{} #{}</h1>", text(&issue.title), issue.number))
        .add(&format!("<p>opened by <strong id=\"author\">{}</strong> (@{})</p>", text(author), text(login)))
        .add(&format!("<div class=\"box\"><pre>{}</pre></div>", text(&issue.body)));
    Reply::html(StatusCode::OK, page.page(&issue.title))
}

pub(super) fn issues(forge: &Forge, ask: &Ask) -> Reply {
    let world = forge.world();
    let Some((owner, repository)) = visible(forge, &world, ask) else { return not_found() };
    let name = format!("{}/{}", owner.login, repository.name);
    let mut page = Html::new().add(&format!("<h1>Issues of {}</h1><ul>", text(&name)));
    for issue in repository.issues.iter().rev().take(50) {
        let author = world.users.get(&issue.author).map_or("Ghost", |user| user.display_name());
        let link = text(&format!("/{name}/issues/{}", issue.number));
        let row = format!("<li><a href=\"{link}\">{}</a>, by {}</li>\n", text(&issue.title), text(author));
        page = page.add(&row);
    }
    Reply::html(StatusCode::OK, page.add("</ul>").page("Issues"))
}

pub(super) fn not_found() -> Reply {
    Reply::html(StatusCode::NOT_FOUND, Html::new().add("<h1>Not found</h1>").page("Not found"))
}
