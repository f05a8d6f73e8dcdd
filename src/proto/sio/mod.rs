//! sio codec.
