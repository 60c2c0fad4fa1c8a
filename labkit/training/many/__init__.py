"""Many models at once: shadow models, subsets, seeds, the points of a learning curve."""

from labkit.training.many.fitting import Fit
from labkit.training.many.sharded import fit_sharded
from labkit.training.many.together import Many, fit_many

__all__ = ["Fit", "Many", "fit_many", "fit_sharded"]
