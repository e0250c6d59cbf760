//! How much the server takes at once, in one place: connections, requests, writes, streams, bodies.
//!
//! Whoever is beyond a bound is refused at once and never queued, before anything of its call is
//! done, and is told when to come back. A request holds its permit until the system has taken its
//! answer, so that an answer which nobody reads is counted as well; what it needed as a write, and
//! for its body, it gives back before a byte of the answer is sent, so that whoever has the answer
//! finds that room again. Health and metrics are answered in any case: they are what an operator
//! looks at then. The bounds themselves are `config`'s, how a body comes in is `intake`'s.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{Code, Problem};
use super::metrics::{Metrics, Reader};
use super::rate::Rate;
use crate::auth::Principal;
use crate::clock::monotonic;
use crate::config::LimitConfig;

/// Paths that are always answered.
const ALWAYS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Connections that are told at once that there is no room; further ones are just closed.
const TURNED_AWAY_MAX: usize = 256;

/// What is bounded.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: LimitConfig,
    connections: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// A permit a byte.
    body_bytes: Arc<Semaphore>,
    request_rate: Option<Rate<CallerKey>>,
    event_rate: Option<Rate<CallerKey>>,
    metrics: Arc<Metrics>,
}

/// Whose rate a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CallerKey {
    /// Somebody who proved who it is, by a hash of the name.
    Principal(u64),
    /// Anybody at this address.
    Peer(IpAddr),
}

impl CallerKey {
    /// Who has proved to be this principal.
    pub(crate) fn of_principal(principal: &Principal) -> CallerKey {
        let mut hasher = DefaultHasher::new();
        principal.name().hash(&mut hasher);
        CallerKey::Principal(hasher.finish())
    }

    /// Who has proved nothing.
    pub(crate) fn of_peer(peer: IpAddr) -> CallerKey {
        match peer.to_canonical() {
            // A household has 64 bits of addresses to choose from.
            IpAddr::V6(ip) => {
                let net = u128::from(ip) >> 64 << 64;
                CallerKey::Peer(IpAddr::V6(net.into()))
            }
            ip => CallerKey::Peer(ip),
        }
    }
}

/// A request that was let in, and what it holds.
#[derive(Debug)]
pub(crate) struct Admitted {
    _request: OwnedSemaphorePermit,
    work: Mutex<Work>,
    body_bytes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// What a request holds until it is done, however long its answer takes.
#[derive(Debug, Default)]
struct Work {
    _write: Option<OwnedSemaphorePermit>,
    body: Option<OwnedSemaphorePermit>,
}

impl Admitted {
    /// Makes room for so many bytes of the body, until the request is over.
    pub(crate) fn make_room(&self, n_bytes: usize) -> Result<(), Problem> {
        let n_bytes = u32::try_from(n_bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.body_bytes).try_acquire_many_owned(n_bytes);
        let more = more.map_err(|_| full(&self.metrics, "bytes of bodies"))?;
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut work.body {
            Some(held) => held.merge(more),
            None => work.body = Some(more),
        }
        Ok(())
    }

    /// Gives back what only the work needed: the answer is made, and nobody has seen any of it.
    pub(crate) fn done(&self) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Work::default();
    }
}

impl Admission {
    /// Bounds as they are configured; nothing is let in yet.
    pub(crate) fn new(limits: LimitConfig, metrics: Arc<Metrics>) -> Admission {
        let room = |n| Arc::new(Semaphore::new(n));
        let rate = |per_s: Option<u64>| per_s.map(|per_s| Rate::new(per_s, limits.rate.burst));
        Admission {
            connections: room(limits.connections_max),
            turned_away: room(TURNED_AWAY_MAX),
            requests: room(limits.requests_max),
            writes: room(limits.writes_max),
            streams: room(limits.streams_max),
            body_bytes: room(limits.bodies_bytes_max),
            request_rate: rate(limits.rate.requests_per_s),
            event_rate: rate(limits.rate.events_per_s),
            metrics,
            limits,
        }
    }

    /// The bounds.
    pub(crate) fn limits(&self) -> &LimitConfig {
        &self.limits
    }

    /// Whether anybody needs to know who calls.
    pub(crate) fn has_rates(&self) -> bool {
        self.request_rate.is_some() || self.event_rate.is_some()
    }

    /// Lets a connection in, for as long as the permit lives.
    pub(crate) fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Lets somebody be told that there is no room for the connection.
    pub(crate) fn turned_away(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turned_away).try_acquire_owned().ok()
    }

    /// Lets a request in by its head; `None` is one that needs no permit.
    pub(crate) fn request(
        &self,
        method: &Method,
        uri: &Uri,
        caller: Option<CallerKey>,
    ) -> Result<Option<Arc<Admitted>>, Problem> {
        if ALWAYS.contains(&uri.path()) {
            return Ok(None);
        }
        self.charge(self.request_rate.as_ref(), caller, 1)?;
        let room = |of: &Arc<Semaphore>, what| {
            Arc::clone(of).try_acquire_owned().map_err(|_| self.full(what))
        };
        let write = match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => None,
            _ => Some(room(&self.writes, "writes")?),
        };
        Ok(Some(Arc::new(Admitted {
            _request: room(&self.requests, "requests")?,
            work: Mutex::new(Work { _write: write, body: None }),
            body_bytes: Arc::clone(&self.body_bytes),
            metrics: Arc::clone(&self.metrics),
        })))
    }

    /// Counts the events that a caller is about to append against its rate.
    pub(crate) fn events(&self, caller: Option<CallerKey>, n_events: u64) -> Result<(), Problem> {
        self.charge(self.event_rate.as_ref(), caller, n_events)
    }

    /// Lets a stream in, and counts it.
    pub(crate) fn stream(&self) -> Result<Reader, Problem> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        let permit = permit.map_err(|_| self.full("streams"))?;
        Ok(self.metrics.reader(permit))
    }

    /// The refusal of whoever finds no room.
    pub(crate) fn full(&self, what: &'static str) -> Problem {
        full(&self.metrics, what)
    }

    fn charge(
        &self,
        rate: Option<&Rate<CallerKey>>,
        caller: Option<CallerKey>,
        n: u64,
    ) -> Result<(), Problem> {
        let Some((rate, caller)) = rate.zip(caller) else { return Ok(()) };
        rate.take(caller, n, monotonic()).map_err(|wait| {
            self.metrics.refused("rate");
            let detail = "this caller goes faster than it may; wait as long as retry-after says";
            Problem::new(Code::RateLimited, detail).retry_after(wait)
        })
    }
}

fn full(metrics: &Metrics, what: &'static str) -> Problem {
    metrics.refused(what);
    let detail = format!(
        "the server has as many {what} as it takes at once, and did nothing of this call; send it \
         again"
    );
    Problem::new(Code::Overloaded, detail).with("limit", what)
}

/// The least that a client is asked to wait: `retry-after` knows whole seconds.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(change: impl FnOnce(&mut LimitConfig)) -> Admission {
        let mut limits = LimitConfig::default();
        change(&mut limits);
        Admission::new(limits, Arc::new(Metrics::new()))
    }

    fn ask(admission: &Admission, method: &Method) -> Result<Option<Arc<Admitted>>, Code> {
        let uri = Uri::from_static("/v1/chats");
        admission.request(method, &uri, None).map_err(|problem| problem.code())
    }

    #[test]
    fn who_is_beyond_a_bound_is_refused_until_somebody_leaves() {
        let admission = admission(|limits| (limits.requests_max, limits.writes_max) = (2, 1));
        let write = ask(&admission, &Method::POST).unwrap();
        assert_eq!(ask(&admission, &Method::POST).unwrap_err(), Code::Overloaded);
        let read = ask(&admission, &Method::GET).unwrap();
        assert_eq!(ask(&admission, &Method::GET).unwrap_err(), Code::Overloaded);
        drop(write);
        let again = ask(&admission, &Method::POST).unwrap();
        drop((read, again));
        assert!(ask(&admission, &Method::GET).unwrap().is_some());
    }

    #[test]
    fn who_waits_for_its_answer_to_be_taken_is_a_request_but_no_write() {
        let admission = admission(|limits| {
            (limits.requests_max, limits.writes_max, limits.bodies_bytes_max) = (2, 1, 10);
        });
        let first = ask(&admission, &Method::POST).unwrap().unwrap();
        first.make_room(10).unwrap();
        first.done();
        let second = ask(&admission, &Method::POST).unwrap().unwrap();
        second.make_room(10).unwrap();
        assert_eq!(ask(&admission, &Method::GET).unwrap_err(), Code::Overloaded);
        drop(first);
        assert!(ask(&admission, &Method::GET).unwrap().is_some());
    }

    #[test]
    fn health_is_told_when_nothing_else_is() {
        let admission = admission(|limits| limits.requests_max = 1);
        let _held = ask(&admission, &Method::GET).unwrap();
        for path in ALWAYS {
            let let_in = admission.request(&Method::GET, &Uri::from_static(path), None);
            assert!(let_in.unwrap().is_none(), "{path}");
        }
    }

    #[test]
    fn bodies_share_their_room_and_give_it_back() {
        let admission = admission(|limits| limits.bodies_bytes_max = 10);
        let first = ask(&admission, &Method::POST).unwrap().unwrap();
        let second = ask(&admission, &Method::POST).unwrap().unwrap();
        let room = |of: &Admitted, n| of.make_room(n).map_err(|problem| problem.code());
        assert_eq!((room(&first, 4), room(&first, 4)), (Ok(()), Ok(())));
        assert_eq!((room(&second, 3), room(&second, 2)), (Err(Code::Overloaded), Ok(())));
        drop(first);
        assert_eq!(room(&second, 8), Ok(()));
    }

    #[test]
    fn a_household_is_one_caller() {
        let key = |ip: &str| CallerKey::of_peer(ip.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
