//! A condition held against the tensor it asks about.

use super::elements::{Element, Sort, elements, rounded};
use super::{Condition, Literal, Reduction, Test};
use consort_inference::{Tensor, TensorSpec};

/// A condition whose tensor has elements of the right sort.
#[derive(Debug, Clone)]
pub(crate) struct CompiledCondition {
    /// Its numbers are rounded to the tensor's precision.
    condition: Condition,
}

/// Why a condition does not fit its tensor, and what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

// === impl CompiledCondition ===

impl CompiledCondition {
    /// Checks a condition against a tensor that it may get to see.
    pub(crate) fn check(condition: &Condition, spec: &TensorSpec) -> Result<(), Unfit> {
        let sort = Sort::of(spec.datatype);
        let unfit = |message: String, help: Option<&str>| {
            Err(Unfit {
                message,
                help: help.map(str::to_owned),
            })
        };
        let reduces = matches!(
            condition.of,
            Reduction::Max | Reduction::Min | Reduction::Mean
        );
        if reduces && sort != Sort::Number {
            let (of, plural) = (condition.of, sort.plural());
            let message = format!("there is no {of} of the {plural} of \"{}\"", spec.name);
            return unfit(message, Some("write of = \"any\", \"all\" or \"only\""));
        }
        if condition.of == Reduction::Only && known_count(spec).is_some_and(|count| count != 1) {
            let message = format!(
                "the condition asks for the only element of \"{}\", which is {spec}",
                spec.name
            );
            let help = "write of = \"max\", \"min\", \"mean\", \"any\" or \"all\"";
            return unfit(message, Some(help));
        }
        match &condition.test {
            Test::Above(_) | Test::Below(_) if sort != Sort::Number => {
                let message = format!(
                    "the {} of \"{}\" are neither above nor below anything",
                    sort.plural(),
                    spec.name
                );
                unfit(message, Some("write equals, not_equals or one_of"))
            }
            Test::Above(_) | Test::Below(_) => Ok(()),
            Test::OneOf(literals) if literals.is_empty() => {
                unfit("one_of names nothing, so it never holds".to_owned(), None)
            }
            Test::Equals(literal) | Test::NotEquals(literal) => {
                same_sort(sort, spec, std::slice::from_ref(literal))
            }
            Test::OneOf(literals) => same_sort(sort, spec, literals),
        }
    }

    /// Prepares a condition that fits.
    pub(crate) fn new(condition: &Condition, spec: &TensorSpec) -> Self {
        let round = |number: f64| rounded(number, spec.datatype);
        let literal = |literal: &Literal| match literal {
            Literal::Float(number) => Literal::Float(round(*number)),
            other => other.clone(),
        };
        let test = match &condition.test {
            Test::Above(limit) => Test::Above(round(*limit)),
            Test::Below(limit) => Test::Below(round(*limit)),
            Test::Equals(one) => Test::Equals(literal(one)),
            Test::NotEquals(one) => Test::NotEquals(literal(one)),
            Test::OneOf(many) => Test::OneOf(many.iter().map(literal).collect()),
        };
        Self {
            condition: Condition {
                tensor: condition.tensor.clone(),
                of: condition.of,
                test,
            },
        }
    }

    /// Whether it holds for a tensor; the error says why that cannot be told.
    pub(crate) fn holds(&self, tensor: &Tensor) -> Result<bool, String> {
        let mut all = elements(tensor);
        let test = |element| holds(&self.condition.test, element);
        Ok(match self.condition.of {
            Reduction::Any => all.any(test),
            Reduction::All => all.all(test),
            Reduction::Only => match (all.next(), all.next()) {
                (Some(only), None) => test(only),
                _ => {
                    return Err(format!(
                        "the condition asks for the only element of \"{}\", which has {}",
                        self.condition.tensor,
                        tensor.element_count()
                    ));
                }
            },
            // Of nothing there is no largest, smallest or mean for a test to hold for.
            Reduction::Max => all.reduce(larger).is_some_and(test),
            Reduction::Min => all.reduce(smaller).is_some_and(test),
            Reduction::Mean => mean(all).is_some_and(|mean| test(Element::Real(mean))),
        })
    }
}

fn same_sort(sort: Sort, spec: &TensorSpec, literals: &[Literal]) -> Result<(), Unfit> {
    let fits = |literal: &&Literal| sort_of(literal) == sort;
    match literals.iter().find(|literal| !fits(literal)) {
        None => Ok(()),
        Some(other) => Err(Unfit {
            message: format!(
                "the {} of \"{}\" are never {other}",
                sort.plural(),
                spec.name
            ),
            help: None,
        }),
    }
}

fn sort_of(literal: &Literal) -> Sort {
    match literal {
        Literal::Bool(_) => Sort::Bool,
        Literal::Int(_) | Literal::Float(_) => Sort::Number,
        Literal::Text(_) => Sort::Text,
    }
}

/// The number of elements, where the shape says it.
fn known_count(spec: &TensorSpec) -> Option<usize> {
    spec.shape
        .iter()
        .try_fold(1usize, |count, axis| count.checked_mul((*axis)?))
}

fn holds(test: &Test, element: Element<'_>) -> bool {
    match test {
        Test::Above(limit) => real(element).is_some_and(|number| number > *limit),
        Test::Below(limit) => real(element).is_some_and(|number| number < *limit),
        Test::Equals(literal) => equals(element, literal),
        Test::NotEquals(literal) => !equals(element, literal),
        Test::OneOf(literals) => literals.iter().any(|literal| equals(element, literal)),
    }
}

#[expect(
    clippy::float_cmp,
    reason = "equality is what the manifest asks for; literals are rounded to the tensor's precision"
)]
fn equals(element: Element<'_>, literal: &Literal) -> bool {
    match (element, literal) {
        (Element::Bool(value), Literal::Bool(other)) => value == *other,
        (Element::Whole(value), Literal::Int(other)) => value == i128::from(*other),
        (Element::Whole(_) | Element::Real(_), Literal::Float(other)) => {
            real(element).is_some_and(|value| value == *other)
        }
        (Element::Real(value), Literal::Int(other)) => value == *other as f64,
        (Element::Text(value), Literal::Text(other)) => value == other.as_bytes(),
        _ => false,
    }
}

fn real(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Whole(number) => Some(number as f64),
        Element::Real(number) => Some(number),
        Element::Bool(_) | Element::Text(_) => None,
    }
}

/// What is no number counts for nothing.
fn larger<'a>(a: Element<'a>, b: Element<'a>) -> Element<'a> {
    match (a, b) {
        (Element::Whole(a), Element::Whole(b)) => Element::Whole(a.max(b)),
        (Element::Real(a), Element::Real(b)) => Element::Real(a.max(b)),
        (a, _) => a,
    }
}

fn smaller<'a>(a: Element<'a>, b: Element<'a>) -> Element<'a> {
    match (a, b) {
        (Element::Whole(a), Element::Whole(b)) => Element::Whole(a.min(b)),
        (Element::Real(a), Element::Real(b)) => Element::Real(a.min(b)),
        (a, _) => a,
    }
}

fn mean<'a>(elements: impl Iterator<Item = Element<'a>>) -> Option<f64> {
    let (sum, count) = elements
        .filter_map(real)
        .fold((0.0, 0.0), |(sum, count), number| {
            (sum + number, count + 1.0)
        });
    (count > 0.0).then(|| sum / count)
}
