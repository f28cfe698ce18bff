//! taper-layers
