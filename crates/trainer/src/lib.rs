//! taper-trainer
