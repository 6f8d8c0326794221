//! Whose VMs are whose, as the deployer tells it: so that the number of VMs per user is real. Experimental: nothing in
//! here reaches a VM.

use super::{Admin, tell};
use crate::admin::caller::Caller;
use crate::admin::error::AdminError;
use crate::admin::records::{Assigned, VmRow};

/// The longest id of a VM, in bytes.
pub const MAX_VM_ID: usize = 128;
/// The longest address of a VM, in bytes.
pub const MAX_VM_URL: usize = 2048;

impl Admin {
    /// Writes down that a VM is a user's, and where it is reached. Again for the same user: the address changes.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::VmTaken`], [`AdminError::TooManyVms`], [`AdminError::Records`]
    pub async fn assign_vm(
        &self,
        by: &Caller,
        user_id: &str,
        vm_id: &str,
        url: Option<&str>,
    ) -> Result<(), AdminError> {
        let vm = VmRow { vm_id: vm_id.to_owned(), user_id: user_id.to_owned(), url: url.map(str::to_owned) };
        let line = self.line(by, "assign_vm", vm_id, "done");
        let refused = match self.shared.records.assign(vm, line.clone()).await? {
            Assigned::Done => {
                tell(&line);
                return Ok(());
            }
            Assigned::NoUser => AdminError::NoSuchUser,
            Assigned::SomebodyElses => AdminError::VmTaken,
            Assigned::TooMany => AdminError::TooManyVms,
        };
        let line = self.line(by, "assign_vm", vm_id, refused.reason());
        self.note(Some(user_id.to_owned()), line).await;
        Err(refused)
    }

    /// Writes down that a VM is nobody's any more; says whose it was.
    ///
    /// # Errors
    /// [`AdminError::NoSuchVm`], [`AdminError::Records`]
    pub async fn release_vm(&self, by: &Caller, vm_id: &str) -> Result<String, AdminError> {
        let line = self.line(by, "release_vm", vm_id, "done");
        let owner = self.shared.records.release(vm_id.to_owned(), line.clone()).await?;
        let owner = owner.ok_or(AdminError::NoSuchVm)?;
        tell(&line);
        Ok(owner)
    }
}
