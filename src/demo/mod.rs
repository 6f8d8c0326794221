//! The house without a forge of one's own: what `hero_proxy demo` starts beside the proxy.

pub mod cockpit;
