//! Pixels for plugins: an image of three channels of 8 bits, and what is done with it before
//! a model sees it.
//!
//! Resizing and perspective follow the rules of OpenCV to the level, so that a model gets the
//! levels that it was trained with. This crate never decodes files and knows no host.

mod area;
mod homography;
mod image;
mod linear;
mod normalise;
mod perspective;

pub use area::resize_area;
pub use homography::Homography;
pub use image::{CHANNELS, Image, ImageError};
pub use linear::resize_linear;
pub use normalise::{Layout, Normalise};
pub use perspective::warp_perspective;

#[cfg(test)]
mod tests;
