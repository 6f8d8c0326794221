//! What a `dyn` port returns: stores and forges are chosen at run time, and their calls lie off the hot path.

use std::pin::Pin;

/// A boxed future, as the methods of a port return it.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
