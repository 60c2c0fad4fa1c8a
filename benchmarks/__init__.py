"""labkit beside its peers: a package by name, since Opacus installs one of the same name."""
