//! The bipartite interaction graph.
