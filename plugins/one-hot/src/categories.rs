//! Which category has which column.

use crate::config::Category;
use std::collections::BTreeMap;
use std::fmt;

/// The categories of one input, all texts or all integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Categories {
    texts: BTreeMap<Vec<u8>, usize>,
    integers: BTreeMap<i128, usize>,
}

/// Categories that cannot have a column each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CategoriesError {
    /// There are none.
    Empty,
    /// One is there twice.
    Twice {
        /// Which one it is.
        category: Category,
        /// Its second place.
        column: usize,
    },
}

// === impl Categories ===

impl Categories {
    /// A column for each, in their order.
    pub fn new(categories: Vec<Category>) -> Result<Self, CategoriesError> {
        if categories.is_empty() {
            return Err(CategoriesError::Empty);
        }
        let mut columns = Self {
            texts: BTreeMap::new(),
            integers: BTreeMap::new(),
        };
        for (column, category) in categories.into_iter().enumerate() {
            let before = match &category {
                Category::Text(text) => columns.texts.insert(text.as_bytes().to_vec(), column),
                Category::Integer(number) => columns.integers.insert(*number, column),
            };
            if before.is_some() {
                return Err(CategoriesError::Twice { category, column });
            }
        }
        Ok(columns)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len() + self.integers.len()
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column of a text.
    pub fn text(&self, text: &[u8]) -> Option<usize> {
        self.texts.get(text).copied()
    }

    /// The column of an integer.
    pub fn integer(&self, number: i128) -> Option<usize> {
        self.integers.get(&number).copied()
    }
}

// === impl CategoriesError ===

impl fmt::Display for CategoriesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there are no categories, at least one is expected"),
            Self::Twice { category, column } => {
                write!(f, "category {column} is {category}, which is there before")
            }
        }
    }
}

impl std::error::Error for CategoriesError {}
