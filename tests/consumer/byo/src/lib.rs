//! A backend's way to a token: passed on by the proxy, else pasted by the same visitor, else none.

use std::path::Path;

use hero_proxy::base::byo::{ByoError, ByoSlot};
use hero_proxy::base::secret_file::SecretFolder;
use hero_proxy::wire::consume::PassedToken;
use hero_proxy::wire::credential::{Asker, ForgeCredential};

/// The slot of the pasted token below a private folder.
pub fn slot(folder: &Path) -> ByoSlot<SecretFolder> {
    ByoSlot::new(SecretFolder::new(folder))
}

/// The token for this request. The slot is read only if none was passed on.
pub fn credential(
    request: &http::Extensions,
    slot: &ByoSlot<SecretFolder>,
) -> Result<ForgeCredential, ByoError> {
    let passed = request.get::<PassedToken>().cloned();
    let byo = if passed.is_none() { slot.token()? } else { None };
    Ok(ForgeCredential::resolve(passed, byo, Asker::of(request)))
}
