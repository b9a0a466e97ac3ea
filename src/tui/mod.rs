//! The live screen: state, actions, update, draw.
