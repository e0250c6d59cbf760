//! When whoever reads a stream stops being known: a timer, since nobody asks in between.

use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Sleep;

use super::App;
use crate::auth::Principal;

/// The end of a principal's time, if it has one.
#[derive(Debug)]
pub(crate) struct Expiry(Option<Pin<Box<Sleep>>>);

impl Expiry {
    /// That of a principal, counted from now.
    pub(crate) fn of(app: &App, principal: &Principal) -> Expiry {
        let left = |at: scrollback_schema::Millis| at.since_ms(app.clock().now());
        let sleep = |ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms)));
        Expiry(principal.expires_at().map(left).map(sleep))
    }

    /// Waits for it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn passed(&mut self) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().await,
            None => std::future::pending().await,
        }
    }

    /// Whether it has come.
    pub(crate) fn has_passed(&mut self) -> bool {
        self.passed().now_or_never().is_some()
    }
}
