"""Which of torch's functions follow the same rule, by their plain names (without underscores)."""

from __future__ import annotations


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Entries are moved or repeated, never changed.
MOVES = _named(
    """clone contiguous reshape view view_as flatten unflatten ravel squeeze unsqueeze transpose permute movedim moveaxis
swapaxes t T mT H mH adjoint expand expand_as broadcast_to repeat repeat_interleave tile narrow select split chunk
tensor_split unbind getitem gather index_select take_along_dim roll flip fliplr flipud tril triu diagonal unfold to type
type_as float double half bfloat16 dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout"""
)
LINEAR = _named(
    """sum mean cumsum neg negative positive diff fold avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d interpolate pixel_shuffle pixel_unshuffle fft_rfft fft_fft fft_irfft fft_ifft
view_as_real real imag"""
)
# Linear in the signals together, and constants are mixed in.
MIXING = _named(
    """cat concat concatenate stack hstack vstack where masked_fill pad add sub subtract rsub batch_norm scatter
scatter_add index_add index_put index_copy masked_scatter _pack_padded_sequence _pad_packed_sequence"""
)
# Linear in pieces: the gradient is the rule, and the largest entry takes all.
PIECEWISE = _named(
    """max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d
adaptive_max_pool3d amax amin sort topk"""
)
# One number at a time: the output's relevance goes to its input, but for the value at zero.
POINTWISE = _named(
    """gelu silu mish elu selu celu tanh tanhshrink softplus softsign sigmoid logsigmoid hardtanh hardswish
hardsigmoid relu6 clamp clip clamp_min clamp_max threshold erf sin cos atan exp expm1 log1p sqrt rsqrt reciprocal square
pow"""
)
GATES = _named("sigmoid hardsigmoid")  # from 0 to 1: in a product they weigh the other factor
PRODUCTS = _named("mul multiply matmul mm bmm mv dot outer")
QUOTIENTS = _named("div divide true_divide")
# Spreads and inverses, which values are divided by or multiplied with to normalise them.
STATISTICS = _named("rdiv var std norm vector_norm detach data")
# Nothing at zero, and each entry times a factor: normalisation without a mean, activations of straight lines.
SCALED = _named("normalize rms_norm local_response_norm relu leaky_relu prelu abs")
