"""Parent networks: the weight-sharing networks whose edges a method chooses operations for."""
