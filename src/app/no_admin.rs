//! What stands for the operator's part in a build without it: nothing, in the same shape. The configuration's check refuses
//! `[admin]` there.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::Handle;
use tower_service::Service;

use crate::app::house::{Seams, StartError};
use crate::base::fault::Fault;
use crate::config::Config;
use crate::gate::{ForgeAuth, ForgeKeeper};
use crate::serve::Answers;

/// Nobody makes one.
#[derive(Clone, Debug)]
pub enum Admin {}

pub(super) type AdminStack = ForgeAuth<Admin, ForgeKeeper>;
pub(super) type SocketService = Admin;

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match *self {}
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        match *self {}
    }
}

impl Answers for Admin {
    type Answer = Full<Bytes>;

    fn refuse(&self, _: Option<&Parts>, _: Fault) -> Response<Full<Bytes>> {
        match *self {}
    }
}

/// There is none.
///
/// # Errors
/// Never.
pub fn build(_: &Config, _: &Seams, _: &Handle) -> Result<Option<Admin>, StartError> {
    Ok(None)
}

pub(super) fn reloaded(admin: &Admin, _: &Config) -> Admin {
    match *admin {}
}

pub(super) fn stack(admin: &Admin, _: &ForgeKeeper, _: &Config) -> Result<Option<AdminStack>, StartError> {
    match *admin {}
}

pub(super) fn socket(admin: &Admin, _: &Config) -> SocketService {
    match *admin {}
}

pub(super) fn listen_to(_: &ForgeKeeper, admin: &Admin) {
    match *admin {}
}

pub(super) fn look_after(admin: &Admin) -> Ready<()> {
    match *admin {}
}

pub(super) fn look_at_token(admin: &Admin) -> Ready<bool> {
    match *admin {}
}

pub(super) fn drain(admin: &Admin, _: Duration) -> Ready<bool> {
    match *admin {}
}
