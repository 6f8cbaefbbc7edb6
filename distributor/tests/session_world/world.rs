//! The world around sessions: the log, `parked`, both archiver stages, registry, store, directors, and clients that
//! keep a cursor. Every step is atomic only where the real one is: what a session asks is read at one time and answered
//! at another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use postrider_distributor::session::{Frame, Input, Output, Session};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shared::clock::Timestamp;
use shared::delivery::Verdict;
use shared::position::Cursor;
use shared::registry::{Flag, FlagReading};

use super::director::{Director, Forward};
use super::fixture::{at, notification};

/// A question of a session on its way: first it is read, later answered.
#[derive(Debug)]
pub(crate) enum Question {
    ParkedEnd,
    Flag,
    FlagAfter(Option<u64>),
    Page(Cursor, u32),
    Clear(u64),
    Answer(Input),
}

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) client: usize,
    pub(crate) registered: bool,
    pub(crate) seen_epoch: u64,
    pub(crate) questions: VecDeque<Question>,
    pub(crate) wire: VecDeque<(u64, u64)>,
    pub(crate) read: u64,
    pub(crate) highest: Option<u64>,
    pub(crate) outstanding: [usize; 2],
}

/// A device of the recipient.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) next: u64,
    pub(crate) seen: Vec<u64>,
}

/// See the file's description.
pub(crate) struct World {
    pub(crate) random: StdRng,
    pub(crate) trace: Vec<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) now: Timestamp,
    pub(crate) log_end: u64,
    pub(crate) committed: u64,
    pub(crate) parked: Vec<u64>,
    pub(crate) flag: (Flag, u64),
    pub(crate) flagged: Option<u64>,
    pub(crate) rescanned: Option<u64>,
    pub(crate) rows: BTreeSet<u64>,
    pub(crate) archived: u64,
    pub(crate) deletes: Vec<Cursor>,
    pub(crate) routes: BTreeSet<u64>,
    pub(crate) registry_epoch: u64,
    pub(crate) registry_up: bool,
    pub(crate) store_up: bool,
    pub(crate) directors: Vec<Director>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) clients: Vec<Client>,
    pub(crate) ids: u64,
    streams: u64,
}

impl World {
    pub(crate) fn new(seed: u64, clients: usize) -> Self {
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            trace: Vec::new(),
            problems: Vec::new(),
            now: Timestamp::from_millis(1_000),
            log_end: 0,
            committed: 0,
            parked: Vec::new(),
            flag: (Flag::Unknown, 0),
            flagged: None,
            rescanned: None,
            rows: BTreeSet::new(),
            archived: 0,
            deletes: Vec::new(),
            routes: BTreeSet::new(),
            registry_epoch: 0,
            registry_up: true,
            store_up: true,
            directors: Vec::new(),
            connections: BTreeMap::new(),
            clients: (0..clients).map(|_| Client::default()).collect(),
            ids: 0,
            streams: 0,
        };
        world.assign();
        world
    }

    pub(crate) fn say(&mut self, line: String) {
        self.trace.push(line);
    }

    pub(crate) fn assign(&mut self) {
        let director = Director::new(self.directors.len(), self.committed, self.parked.len() as u64);
        self.say(format!("director {} from {} parked {}", director.id, self.committed, self.parked.len()));
        self.directors.push(director);
    }

    fn known_routes(&self) -> BTreeSet<u64> {
        if self.registry_up { self.routes.clone() } else { BTreeSet::new() }
    }

    /// One step of director `index`.
    pub(crate) fn direct(&mut self, index: usize) {
        let routes = self.known_routes();
        let choice = self.random.random_range(0..4);
        let director = &mut self.directors[index];
        match choice {
            0 | 1 => director.take(self.log_end, &routes, &mut self.streams),
            2 => director.park(&mut self.parked),
            _ if self.registry_up => director.second_look(&routes, &mut self.streams),
            _ => {}
        }
        self.commit();
    }

    /// The group coordinator believes only the last director.
    fn commit(&mut self) {
        if let Some(owner) = self.directors.last() {
            while owner.ended.contains(&self.committed) {
                self.committed += 1;
            }
        }
    }

    /// Delivers the next frame, or the next verdict, of a stream.
    pub(crate) fn carry(&mut self, index: usize, id: u64) {
        let back = self.random.random_bool(0.5);
        let Some(stream) = self.directors[index].streams.get_mut(&id) else { return };
        if back {
            let Some((offset, verdict)) = stream.back.pop_front() else { return };
            if self.directors[index].verdict(offset, id, Some(verdict)) && self.registry_up {
                self.routes.remove(&id);
            }
            return self.commit();
        }
        let Some(forward) = stream.out.pop_front() else { return };
        let stream_id = stream.id;
        if !self.connections.contains_key(&id) {
            if let Forward::Record { offset, .. } = forward {
                stream.back.push_back((offset, Verdict::Gone));
            }
            return;
        }
        let input = match forward {
            Forward::Record { offset, parked_upto } => Input::Record {
                stream: stream_id,
                position: at(offset),
                parked_upto,
                notification: notification(offset, Timestamp::from_millis(u64::MAX)),
            },
            Forward::Poke(parked_upto) => Input::Poke { parked_upto },
            Forward::Resume => Input::Resume(stream_id),
        };
        self.input(id, input);
    }

    /// Hands an input to a session and carries out what it wants.
    pub(crate) fn input(&mut self, id: u64, input: Input) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match &input {
            Input::Flag(_) => connection.outstanding[0] -= 1,
            Input::Page(_) => connection.outstanding[1] -= 1,
            _ => {}
        }
        let mut line = format!("{} session {id} {}", self.now.as_millis(), brief(&input));
        let mut outputs = Vec::new();
        connection.session.step(input, self.now, &mut outputs);
        for output in &outputs {
            line.push_str(&format!("\n        -> {}", brief(output)));
        }
        line.push_str(&format!("   {:?}", connection.session.state()));
        self.trace.push(line);
        for output in outputs {
            self.carry_out(id, output);
        }
    }

    fn carry_out(&mut self, id: u64, output: Output) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match output {
            Output::Send(Frame::Notification { seq, position, .. }) => {
                if connection.highest.is_some_and(|highest| highest >= position.offset) {
                    self.problems.push(format!("session {id} sent {} out of order", position.offset));
                }
                connection.highest = Some(position.offset);
                connection.wire.push_back((seq, position.offset));
            }
            Output::Send(Frame::Gap { .. }) => self.problems.push(format!("session {id} sent a gap")),
            Output::Send(Frame::Welcome { .. } | Frame::Drained { .. })
            | Output::Probe
            | Output::GateFull => {}
            Output::Reject { .. } => self.problems.push(format!("session {id} rejected")),
            Output::Verdict { stream, position, verdict } => {
                let mut streams =
                    self.directors.iter_mut().filter_map(|director| director.streams.get_mut(&id));
                if let Some(stream) = streams.find(|candidate| candidate.id == stream) {
                    stream.back.push_back((position.offset, verdict));
                }
            }
            Output::ReadParkedEnd => connection.questions.push_back(Question::ParkedEnd),
            Output::ReadFlag => {
                connection.outstanding[0] += 1;
                connection.questions.push_back(Question::Flag);
            }
            Output::ReadPage { from, limit } => {
                connection.outstanding[1] += 1;
                connection.questions.push_back(Question::Page(from, limit));
            }
            Output::Delete(cursor) => self.deletes.push(cursor),
            Output::ClearFlag { version } => connection.questions.push_back(Question::Clear(version)),
        }
        if let Some(connection) = self.connections.get(&id)
            && connection.outstanding.iter().any(|count| *count > 1)
        {
            self.problems.push(format!("session {id} asks twice"));
        }
    }

    /// Takes one step in answering what session `id` asked.
    pub(crate) fn answer(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.questions.is_empty() {
            return;
        }
        let index = self.random.random_range(0..connection.questions.len());
        let Some(question) = connection.questions.remove(index) else { return };
        let next = match question {
            Question::ParkedEnd => Question::Answer(Input::ParkedEnd(self.parked.len() as u64)),
            Question::Flag | Question::FlagAfter(_) if !self.registry_up => {
                Question::Answer(Input::Flag(None))
            }
            Question::Flag => Question::FlagAfter(self.flagged),
            Question::FlagAfter(flagged_upto) => {
                let (flag, version) = self.flag;
                Question::Answer(Input::Flag(Some(FlagReading { flag, version, flagged_upto })))
            }
            Question::Page(..) if !self.store_up => Question::Answer(Input::Page(None)),
            Question::Page(from, limit) => Question::Answer(Input::Page(Some(self.page(from, limit)))),
            Question::Clear(version) => {
                let cleared = self.registry_up && self.flag.1 == version;
                if cleared {
                    self.flag.0 = Flag::Clean;
                }
                Question::Answer(Input::FlagCleared { cleared })
            }
            Question::Answer(input) => return self.input(id, input),
        };
        self.trace.push(format!("session {id} {next:?}"));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.questions.push_back(next);
        }
    }

    /// The node's heartbeat: finds out that the registry lost everything, announces its sessions.
    pub(crate) fn heartbeat(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !self.registry_up {
            return;
        }
        if connection.registered && connection.seen_epoch != self.registry_epoch {
            connection.registered = false;
            return self.input(id, Input::RegistryLost);
        }
        if !connection.registered {
            (connection.registered, connection.seen_epoch) = (true, self.registry_epoch);
            self.routes.insert(id);
            self.input(id, Input::Registered);
        }
    }

    /// The sweep of the node's own sessions, which makes a lost poke good.
    pub(crate) fn sweep(&mut self, id: u64) {
        let parked_upto = match (self.registry_up, self.flag) {
            (true, (Flag::Clean, _)) => return,
            (true, (Flag::Backlog, version)) => version,
            (true, (Flag::Unknown, _)) => self.flagged.unwrap_or(0),
            (false, _) => self.archived,
        };
        self.input(id, Input::Poke { parked_upto });
    }

    pub(crate) fn lose_stream(&mut self, index: usize, id: u64) {
        if let Some(stream) = self.directors[index].lose_stream(id) {
            self.say(format!("director {index} loses its stream to {id}"));
            self.input(id, Input::StreamLost(stream));
        }
    }

    pub(crate) fn crash(&mut self, index: usize) {
        self.say(format!("director {index} dies"));
        self.directors[index].alive = false;
        let sessions: Vec<u64> = self.directors[index].streams.keys().copied().collect();
        for id in sessions {
            self.lose_stream(index, id);
        }
    }

    /// Time passes; a session whose deadline is reached hears of it.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let due =
            |connection: &Connection| connection.session.next_deadline().is_some_and(|at| at <= self.now);
        let ids: Vec<u64> =
            self.connections.iter().filter(|(_, connection)| due(connection)).map(|(id, _)| *id).collect();
        for id in ids {
            self.input(id, Input::Tick);
            let after = self.connections[&id].session.next_deadline();
            if after.is_some_and(|at| at <= self.now) {
                self.problems.push(format!("session {id} is due again at once"));
            }
        }
    }
}

/// A word in the trace, without content.
fn brief(what: &impl std::fmt::Debug) -> String {
    let full = format!("{what:?}");
    full.split("notification: Notification").next().unwrap_or_default().to_owned()
}
