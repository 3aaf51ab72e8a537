"""Hardware of recurrent networks in Amaranth: datapath, synthesis, area, energy and proofs."""
