//! System calls that fail while listeners are served: the server lives, whoever is not concerned hears every byte, whoever is cut goes
//! on with the next one, and no descriptor is left over.

mod accepting;
mod reading;
mod scene;
mod sending;
