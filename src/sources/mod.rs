//! Where model facts come from: folders, files, the Hub.
