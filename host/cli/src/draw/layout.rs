//! A layered layout: nodes in rows, every arrow down. An arrow over several rows gets a
//! place in each of them, so that it passes between the nodes and not under them.

/// A box to be placed; arrows that pass a row are boxes too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Where a box came to lie: its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) size: Size,
}

/// The whole picture.
#[derive(Debug, PartialEq)]
pub(crate) struct Placed {
    /// In the order given.
    pub(crate) nodes: Vec<Spot>,
    /// For each arrow, in the order given: the points it goes through, top down.
    pub(crate) arrows: Vec<Vec<(f64, f64)>>,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// The space between neighbours of a row.
const GAP: f64 = 36.0;
/// How often the order in the rows is improved.
const SWEEPS: usize = 8;

/// Something in a row.
struct Item {
    row: usize,
    size: Size,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

/// Places nodes with arrows `(from, to, space for its label)`. Arrows that do not go forward
/// in the order of the rows must not be among them.
pub(crate) fn place(sizes: &[Size], arrows: &[(usize, usize, Size)]) -> Placed {
    let rows = rows(sizes.len(), arrows);
    let mut items: Vec<Item> = sizes
        .iter()
        .zip(&rows)
        .map(|(size, row)| Item {
            row: *row,
            size: *size,
            above: Vec::new(),
            below: Vec::new(),
            x: 0.0,
        })
        .collect();
    let chains: Vec<Vec<usize>> = arrows
        .iter()
        .map(|(from, to, label)| chain(&mut items, *from, *to, label.width))
        .collect();
    let row_count = items
        .iter()
        .map(|item| item.row + 1)
        .max()
        .unwrap_or_default();
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); row_count];
    for (at, item) in items.iter().enumerate() {
        if let Some(row) = order.get_mut(item.row) {
            row.push(at);
        }
    }
    let width = arrange(&mut order, &mut items);
    // Room for the labels between the rows.
    let mut tops = Vec::with_capacity(row_count);
    let mut y = 0.0;
    for (at, row) in order.iter().enumerate() {
        let height = row.iter().filter_map(|item| items.get(*item));
        let height = height.map(|item| item.size.height).fold(0.0, f64::max);
        tops.push((y, height));
        let label = arrows
            .iter()
            .filter(|(_, to, _)| rows.get(*to) == Some(&(at + 1)));
        y += height + 46.0 + label.map(|(.., size)| size.height).fold(0.0, f64::max);
    }
    let height = tops.last().map_or(0.0, |(y, height)| y + height);
    let spot = |item: &Item| {
        let (y, row_height) = tops.get(item.row).copied().unwrap_or_default();
        Spot {
            x: item.x,
            y: y + (row_height - item.size.height) / 2.0,
            size: item.size,
        }
    };
    let path = |chain: &Vec<usize>| {
        let mut points = Vec::new();
        for (at, index) in chain.iter().enumerate() {
            let Some(item) = items.get(*index) else {
                continue;
            };
            let spot = spot(item);
            let middle = spot.x + spot.size.width / 2.0;
            if at > 0 {
                points.push((middle, spot.y));
            }
            if at + 1 < chain.len() {
                points.push((middle, spot.y + spot.size.height));
            }
        }
        points
    };
    Placed {
        nodes: items.iter().take(sizes.len()).map(spot).collect(),
        arrows: chains.iter().map(path).collect(),
        width,
        height,
    }
}

/// The row of each node: one below the lowest that an arrow comes from.
fn rows(count: usize, arrows: &[(usize, usize, Size)]) -> Vec<usize> {
    let mut rows = vec![0; count];
    // Without circles, no row moves after as many rounds as there are nodes.
    for _ in 0..count {
        let mut moved = false;
        for (from, to, _) in arrows {
            let least = rows.get(*from).map_or(0, |row| row + 1);
            if let Some(row) = rows.get_mut(*to).filter(|row| **row < least) {
                *row = least;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    rows
}

/// Links two nodes by way of a place in each row between them.
fn chain(items: &mut Vec<Item>, from: usize, to: usize, width: f64) -> Vec<usize> {
    let row_of = |items: &[Item], at: usize| items.get(at).map_or(0, |item| item.row);
    let mut chain = vec![from];
    for row in row_of(items, from) + 1..row_of(items, to) {
        items.push(Item {
            row,
            size: Size {
                width: width.max(GAP),
                height: 0.0,
            },
            above: Vec::new(),
            below: Vec::new(),
            x: 0.0,
        });
        chain.push(items.len() - 1);
    }
    chain.push(to);
    for (upper, lower) in chain.iter().zip(chain.iter().skip(1)) {
        if let Some(item) = items.get_mut(*upper) {
            item.below.push(*lower);
        }
        if let Some(item) = items.get_mut(*lower) {
            item.above.push(*upper);
        }
    }
    chain
}

/// Orders each row by where its neighbours are, and gives every item its place. Returns the
/// width of the widest row.
fn arrange(order: &mut [Vec<usize>], items: &mut [Item]) -> f64 {
    let span = |row: &[usize], items: &[Item]| {
        let widths = row
            .iter()
            .filter_map(|at| items.get(*at))
            .map(|item| item.size.width);
        widths.sum::<f64>() + GAP * row.len().saturating_sub(1) as f64
    };
    let width = order.iter().map(|row| span(row, items)).fold(0.0, f64::max);
    let spread = |row: &[usize], items: &mut [Item]| {
        let mut x = (width - span(row, items)) / 2.0;
        for at in row {
            if let Some(item) = items.get_mut(*at) {
                item.x = x;
                x += item.size.width + GAP;
            }
        }
    };
    for row in order.iter() {
        spread(row, items);
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for row in order.iter_mut() {
            let middle = |at: &usize| {
                let item = items.get(*at);
                let around = item.map(|item| if down { &item.above } else { &item.below });
                let around: Vec<f64> = around
                    .into_iter()
                    .flatten()
                    .filter_map(|at| items.get(*at))
                    .map(|item| item.x + item.size.width / 2.0)
                    .collect();
                match around.len() {
                    0 => item.map_or(0.0, |item| item.x + item.size.width / 2.0),
                    count => around.iter().sum::<f64>() / count as f64,
                }
            };
            let mut middles: Vec<(usize, f64)> = row.iter().map(|at| (*at, middle(at))).collect();
            middles.sort_by(|(_, left), (_, right)| left.total_cmp(right));
            *row = middles.into_iter().map(|(at, _)| at).collect();
            spread(row, items);
        }
    }
    width
}
