//! The same crossing for many examples of equal shapes: their tensors go in as one column
//! an input and come back as one column an output, so that an example costs the copy of its
//! bytes and little more.

use crate::call::RoleCall;
use crate::plugin::Core;
use crate::pool::Live;
use crate::state::State;
use crate::tensors::Held;
use crate::wire::{WireColumns, WireError, WireFate, WireNamedTensor, WireResults, WireRows};
use consort_inference::{Example, Signature, Stack, Tensor, TensorError, Tensors};
use std::sync::Arc;
use wasmtime::component::{Resource, TypedFunc};

/// Bytes of the columns that cross together: a fresh instance has not touched its memory yet,
/// and each page costs more than what the next crossing does.
const COLUMNS_BYTES: usize = 128 << 10;
/// The same for an instance that is kept, and how many examples that may be: of more, what a
/// guest makes of them at once might be too much. More bytes would leave the processor's cache
/// on their way.
const KEPT_COLUMNS_BYTES: usize = 512 << 10;
const KEPT_COLUMNS_MAX: usize = 128;

/// An example with more bytes goes in by itself: a guest that reads the tensor of one
/// example reads the whole column.
const EXAMPLE_BYTES_MAX: usize = COLUMNS_BYTES / 2;

/// Rows of fewer bytes are put together by the host: that costs less than memory of the
/// guest for each.
const PART_BYTES_MIN: usize = 512;

/// The function of a companion.
pub(crate) type ColumnsFunc = TypedFunc<WireColumns, (WireResults,)>;

/// Why there is no result for an example.
pub(crate) enum RowError {
    /// The guest said so.
    Guest(WireError),
    /// What it returned is not what it promised.
    Contract(String),
}

/// How many of these examples go in together as columns; `None` when they do not: there is
/// only one, they are large, or the shapes of their inputs differ.
pub(crate) fn size<R: RoleCall>(core: &Core, examples: &[Example]) -> Option<usize> {
    let (first, rest) = examples.split_first()?;
    let signature = R::signature(core)?;
    core.columns_index(R::ROLE)?;
    if rest.is_empty() {
        return None;
    }
    let mut bytes = 0usize;
    for (place, spec) in signature.inputs.iter().enumerate() {
        let shape = first.tensors.tensor_at(place, &spec.name)?.shape();
        let mut column_bytes = 0usize;
        for example in examples {
            let tensor = example.tensors.tensor_at(place, &spec.name)?;
            if tensor.shape() != shape {
                return None;
            }
            column_bytes = column_bytes.saturating_add(tensor.data().len());
        }
        bytes = bytes.saturating_add(column_bytes);
    }
    let each = bytes.div_ceil(examples.len()).max(1);
    let fresh = COLUMNS_BYTES / each;
    // To the nearest number of crossings, all of about one size.
    let crossings = (bytes + KEPT_COLUMNS_BYTES / 2) / KEPT_COLUMNS_BYTES;
    let kept = examples.len().div_ceil(crossings.max(1));
    let size = match core.reuses() {
        true => fresh.max(kept.min(KEPT_COLUMNS_MAX)),
        false => fresh,
    };
    (each <= EXAMPLE_BYTES_MAX).then(|| size.min(examples.len()))
}

/// The companion's function in an instance, looked up when first used.
pub(crate) fn func<R: RoleCall>(core: &Core, live: &mut Live) -> wasmtime::Result<ColumnsFunc> {
    let place = R::ROLE as usize;
    if let Some(Some(func)) = live.columns.get(place) {
        return Ok(*func);
    }
    let index = core
        .columns_index(R::ROLE)
        .ok_or_else(|| wasmtime::format_err!("the role `{}` has no companion", R::ROLE))?;
    let func = live.instance.get_typed_func(&mut live.store, index)?;
    if let Some(slot) = live.columns.get_mut(place) {
        *slot = Some(func);
    }
    Ok(func)
}

/// Puts the examples' tensors into the store as columns.
pub(crate) fn lend<R: RoleCall>(
    core: &Core,
    live: &mut Live,
    examples: &[Example],
) -> Result<WireColumns, TensorError> {
    let state = live.store.data_mut();
    state
        .keys
        .extend(examples.iter().map(|example| example.key.clone()));
    let specs = R::signature(core).map_or(&[][..], |signature| &signature.inputs);
    let mut columns = Vec::with_capacity(specs.len());
    for (place, spec) in specs.iter().enumerate() {
        let tensors = examples
            .iter()
            .filter_map(|example| example.tensors.tensor_at(place, &spec.name));
        columns.push(WireNamedTensor {
            name: spec.name.clone(),
            tensor: Resource::new_own(state.tensors.lend(column(tensors.collect())?)),
        });
    }
    // A chunk of examples is far smaller than this.
    Ok((u32::try_from(examples.len()).unwrap_or(u32::MAX), columns))
}

/// The tensors of one input as the guest is to find them.
fn column(tensors: Vec<&Tensor>) -> Result<Held, TensorError> {
    let bytes: usize = tensors.iter().map(|tensor| tensor.data().len()).sum();
    if bytes < PART_BYTES_MIN.saturating_mul(tensors.len()) {
        return Tensor::stack(&tensors).map(Held::from);
    }
    Stack::new(tensors.into_iter().cloned().collect()).map(Held::from)
}

/// Takes the rows of all columns out of the store and gives each example its own. The
/// error concerns all of them.
pub(crate) fn take<R: RoleCall>(
    core: &Core,
    state: &mut State,
    count: usize,
    results: WireResults,
) -> Result<Vec<Result<R::Output, RowError>>, String> {
    let WireResults {
        fates,
        forwards,
        answers,
        errors,
    } = results;
    if fates.len() != count {
        return Err(format!(
            "{} results were returned for {count} examples; exactly one for each is expected",
            fates.len()
        ));
    }
    let of = |fate: WireFate| fates.iter().filter(|given| **given == fate).count();
    let failed = of(WireFate::Failed);
    if errors.len() != failed {
        return Err(format!(
            "{} errors were returned for {failed} examples that failed",
            errors.len()
        ));
    }
    let mut forwards = rows(state, R::promised(core), of(WireFate::Forward), forwards)?;
    let mut answers = rows(state, R::answers(core), of(WireFate::Answer), answers)
        .map_err(|message| format!("in an answer: {message}"))?;
    let mut errors = errors.into_iter();
    let missing = || RowError::Contract("a result is missing".to_owned());
    let each = |fate| match fate {
        WireFate::Forward => Ok(R::forward(forwards.next().ok_or_else(missing)??)),
        WireFate::Answer => {
            let row = answers.next().ok_or_else(missing)?;
            R::may_answer(core).map_err(RowError::Contract)?;
            Ok(R::answer(row?))
        }
        WireFate::Failed => Err(errors.next().map_or_else(missing, RowError::Guest)),
    };
    Ok(fates.into_iter().map(each).collect())
}

type Row = Result<Tensors, RowError>;

/// The tensors of `count` examples, checked against what was promised.
fn rows(
    state: &mut State,
    promised: Option<&Signature>,
    count: usize,
    rows: WireRows,
) -> Result<std::vec::IntoIter<Row>, String> {
    let rows = match rows {
        WireRows::Stacked(columns) => stacked(state, promised, count, columns)?,
        WireRows::Single(rows) => {
            if rows.len() != count {
                return Err(format!(
                    "{} rows were returned for {count} examples",
                    rows.len()
                ));
            }
            let row = |named| single(state, promised, named).map_err(RowError::Contract);
            rows.into_iter().map(row).collect()
        }
    };
    Ok(rows.into_iter())
}

fn stacked(
    state: &mut State,
    promised: Option<&Signature>,
    count: usize,
    columns: Vec<WireNamedTensor>,
) -> Result<Vec<Row>, String> {
    let taken = all_named(state, promised, columns)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut split: Vec<(Arc<str>, std::vec::IntoIter<Tensor>)> = Vec::with_capacity(taken.len());
    for (name, column) in taken {
        if column.shape().first() != Some(&count) {
            return Err(format!(
                "tensor \"{name}\" of {count} examples has the shape {:?}",
                column.shape()
            ));
        }
        let rows = column.unstack().map_err(|error| error.to_string())?;
        split.push((name, alone(rows, column.data().len()).into_iter()));
    }
    let mut row = || {
        let cells = split
            .iter_mut()
            .filter_map(|(name, rows)| Some((name.clone(), rows.next()?)));
        Tensors::from_named(cells).map_err(|error| error.to_string())
    };
    let first = row()?;
    // All rows of a column have the shape of the first.
    if let Err(message) = check(promised, &first) {
        let failed = || Err(RowError::Contract(message.clone()));
        return Ok((0..count).map(|_| failed()).collect());
    }
    let rest = (1..count).map(|_| row());
    let rows = std::iter::once(Ok(first)).chain(rest);
    rows.map(|row| row.map(Ok)).collect()
}

/// Rows that may go ways of their own: one of far fewer bytes than the others leaves their
/// memory, which nobody would count as its own. At most half of all is copied.
fn alone(mut rows: Vec<Tensor>, bytes: usize) -> Vec<Tensor> {
    let even = bytes / rows.len().max(1);
    for row in &mut rows {
        if row.data().len() < even / 2 {
            *row = row.clone().by_itself();
        }
    }
    rows
}

/// One example's own tensors.
pub(crate) fn single(
    state: &mut State,
    promised: Option<&Signature>,
    tensors: Vec<WireNamedTensor>,
) -> Result<Tensors, String> {
    let taken = all_named(state, promised, tensors)?;
    let tensors = Tensors::from_named(taken).map_err(|error| error.to_string())?;
    check(promised, &tensors)?;
    Ok(tensors)
}

/// Takes what was returned out of the store, and one too many at most: that is enough to say so,
/// and nothing else limits how many there are.
fn all_named(
    state: &mut State,
    promised: Option<&Signature>,
    tensors: Vec<WireNamedTensor>,
) -> Result<Vec<(Arc<str>, Tensor)>, String> {
    let count = promised.map_or(0, |promised| promised.outputs.len()) + 1;
    let mut taken = Vec::with_capacity(count.min(tensors.len()));
    for tensor in tensors {
        if taken.len() < count {
            taken.push(named(state, promised, tensor)?);
        } else {
            state.tensors.discard(tensor.tensor.rep());
        }
    }
    Ok(taken)
}

fn named(
    state: &mut State,
    promised: Option<&Signature>,
    given: WireNamedTensor,
) -> Result<(Arc<str>, Tensor), String> {
    let tensor = state.tensors.take(given.tensor.rep());
    let tensor = tensor.ok_or_else(|| "a returned handle belongs to no tensor".to_owned())?;
    // The promised name is shared by all results; the guest's own is dropped.
    let specs = promised.map_or(&[][..], |promised| &promised.outputs);
    let known = specs.iter().find(|spec| spec.name == given.name);
    Ok((known.map_or(given.name, |spec| spec.name.clone()), tensor))
}

fn check(promised: Option<&Signature>, tensors: &Tensors) -> Result<(), String> {
    let promised = promised.ok_or("the role is not described")?;
    promised
        .check_outputs(tensors)
        .map_err(|mismatch| mismatch.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_row_does_not_keep_a_long_one() {
        let texts = [vec![b'a'; 100_000], b"bc".to_vec(), vec![b'd'; 60_000]];
        let column = Tensor::from_byte_strings(vec![3, 1], texts).unwrap();
        let rows = column.unstack().unwrap();
        let rows = alone(rows.clone(), column.data().len());
        assert_eq!(rows, column.unstack().unwrap());
        let memory = column.data().as_ptr_range();
        let inside = rows
            .iter()
            .map(|row| memory.contains(&row.data().as_ptr()))
            .collect::<Vec<_>>();
        assert_eq!(inside, [true, false, true]);
    }
}
