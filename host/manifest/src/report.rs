//! Collects problems while a manifest is read, so that one run finds all of them.

use std::collections::BTreeSet;

use crate::flaws::{Flaws, SortedFlaws};
use crate::place::{Located, Place, Source};
use crate::problem::{Problem, Problems};

/// More problems than this are counted but not kept: nobody reads them, and a hostile
/// text must not make a large answer.
const PROBLEMS_MAX: usize = 200;

pub(crate) struct Report {
    source: Source,
    problems: Vec<Problem>,
    untold: usize,
    /// Where something is wrong, also what is not told.
    flaws: Flaws,
    /// Lines that are not TOML. What the recovering parser made of them says nothing.
    broken: BTreeSet<usize>,
    /// Whether earlier problems may have hidden what seems to be missing.
    hides: bool,
    /// Set while a default is read: it has no place of its own.
    default_at: Option<Place>,
    /// Set while a correction is tried out.
    trial: bool,
}

impl Report {
    pub(crate) fn new(source: &Source) -> Self {
        Self {
            source: source.clone(),
            problems: Vec::new(),
            untold: 0,
            flaws: Flaws::default(),
            broken: BTreeSet::new(),
            hides: false,
            default_at: None,
            trial: false,
        }
    }

    /// Something that is written is wrong.
    pub(crate) fn wrong(
        &mut self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.flaws.add(place);
        let (first, last) = self.lines(place);
        if self.broken.range(first..=last).next().is_none() {
            self.keep(Problem::new(place, message, help));
        }
    }

    /// Something is not written. Not said where a syntax error may have hidden it.
    pub(crate) fn missing(
        &mut self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.flaws.add(place);
        if !self.hides {
            self.keep(Problem::new(place, message, help));
        }
    }

    /// The text is not TOML here. `hides` says whether keys may be lost because of it.
    pub(crate) fn syntax(&mut self, problem: Problem, hides: bool) {
        let (first, last) = self.lines(problem.place);
        self.broken.extend([first, last]);
        self.hides |= hides;
        self.flaws.add_broken(problem.place, hides, &self.source);
        self.keep(problem);
    }

    /// Runs `check`; if something was wrong already that may be why a thing seems to be
    /// missing, and so `missing` is not said.
    pub(crate) fn hiding<T>(
        &mut self,
        flawed: bool,
        check: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let outer = self.hides;
        self.hides |= flawed;
        let checked = check(self);
        self.hides = outer;
        checked
    }

    /// Whether a value may be a default only because what is written could not be read: then
    /// nothing can be said of what it means for others.
    pub(crate) fn doubts<T>(&self, value: &Located<T>) -> bool {
        self.hides && !value.given
    }

    /// A value read from `place`, or the default that is being read.
    pub(crate) fn locate<T>(&self, value: T, place: Place) -> Located<T> {
        Located {
            value,
            place: self.place(place),
            given: self.default_at.is_none(),
        }
    }

    /// The place to blame for what stands at `place` of the text being read.
    pub(crate) fn place(&self, place: Place) -> Place {
        self.default_at.unwrap_or(place)
    }

    /// Reads a default on behalf of `place`.
    pub(crate) fn default_at<T>(
        &mut self,
        place: Place,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let outer = self.default_at.replace(place);
        let value = read(self);
        self.default_at = outer;
        value
    }

    /// Whether `read` finds nothing wrong. `None` inside another trial.
    pub(crate) fn accepts<T>(&self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<bool> {
        if self.trial {
            return None;
        }
        let mut trial = Self::new(&self.source);
        trial.trial = true;
        Some(read(&mut trial).is_some() && trial.is_clean())
    }

    /// Whether further problems are only counted, and so need no words.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_MAX
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Where something was wrong so far, and forgets it.
    pub(crate) fn take_flaws(&mut self) -> SortedFlaws {
        std::mem::take(&mut self.flaws).sorted()
    }

    /// The line and column of a place, for messages that mention another place.
    pub(crate) fn line(&self, place: Place) -> usize {
        self.source.position(place.start).line
    }

    pub(crate) fn into_problems(self) -> Problems {
        Problems::with_untold(self.source, self.problems, self.untold)
    }

    fn keep(&mut self, problem: Problem) {
        if self.is_full() {
            self.untold += 1;
        } else {
            self.problems.push(problem);
        }
    }

    /// The first and last line that a place touches.
    fn lines(&self, place: Place) -> (usize, usize) {
        let first = self.source.line(place.start);
        (first, self.source.line(place.end).max(first))
    }
}
