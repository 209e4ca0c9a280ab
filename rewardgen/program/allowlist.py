"""The names that reward code may use: Python's, torch's, math's, and the methods of tensors.

Nothing relies on these lists for safety; the sandbox does that. They keep rewards to pure, deterministic tensor code,
so that a mistake is reported to its author in a sentence, and not after a training.
"""

from __future__ import annotations

import math


def _names(text: str) -> frozenset[str]:
    """Return the names in a text."""
    return frozenset(text.split())


BUILTINS = _names(
    """abs all any bool dict enumerate filter float int isinstance len list map max min pow range reversed round set
    sorted str sum tuple zip"""
)

# Names that only annotations need
TYPES = _names("Any Callable Dict List Mapping Optional Sequence Tuple Union")

MATH = frozenset(name for name in dir(math) if not name.startswith("_")) - {"factorial", "comb", "perm"}

_TORCH = _names(
    """Tensor abs absolute acos acosh add addcdiv addcmul all allclose amax amin aminmax angle any arange arccos arccosh
    arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort asin asinh as_tensor atan atan2 atanh atleast_1d
    atleast_2d baddbmm bmm bool broadcast_tensors broadcast_to bucketize cat cdist ceil chunk clamp clamp_max
    clamp_min clip clone column_stack concat concatenate copysign cos cosh cosine_similarity count_nonzero cross
    cummax cummin cumprod cumsum deg2rad det diag diag_embed diagonal diff dist div divide dot double dstack e
    einsum eq equal erf erfc exp exp2 expm1 eye fix flatten flip fliplr flipud float float16 float32
    float64 float_power floor floor_divide fmax fmin fmod frac full full_like gather ge greater greater_equal gt
    half heaviside hstack hypot index_select inf inner int int16 int32 int64 int8 inverse is_tensor isclose
    isfinite isin isinf isnan isneginf isposinf inference_mode kron lerp less less_equal linspace log log10 log1p
    log2 logaddexp logical_and logical_not logical_or logical_xor logit logspace logsumexp long lt masked_fill
    masked_select matmul max maximum mean median meshgrid min minimum mm moveaxis movedim mul multiply mv nan
    nan_to_num nanmean nansum narrow ne neg negative newaxis no_grad norm not_equal numel ones ones_like outer
    permute pi positive pow prod quantile rad2deg ravel real reciprocal relu remainder repeat_interleave reshape
    roll rot90 round rsqrt rsub scatter select selu sgn sigmoid sign signbit sin sinc sinh softmax sort split sqrt
    square squeeze stack std std_mean sub subtract sum swapaxes swapdims t take take_along_dim tan tanh tensor
    tensor_split tensordot tile topk trace transpose trapezoid tril triu true_divide trunc uint8 unbind unflatten
    unique unsqueeze var var_mean vdot vstack where xlogy zeros zeros_like"""
)

_FUNCTIONAL = _names(
    """celu cosine_similarity elu gelu hardsigmoid hardtanh huber_loss l1_loss leaky_relu log_softmax logsigmoid mish
    mse_loss normalize one_hot pad pairwise_distance relu relu6 selu sigmoid silu smooth_l1_loss softmax softmin
    softplus softshrink softsign tanh tanhshrink threshold"""
)

_LINALG = _names("cross det inv matrix_norm norm vecdot vector_norm multi_dot matmul")
_SPECIAL = _names("entr erf erfc exp2 expit expm1 log1p logit log_softmax round sinc softmax xlogy")

# A module's dotted name → what may be read from it
MODULES: dict[str, frozenset[str]] = {
    "math": MATH,
    "torch": _TORCH,
    "torch.linalg": _LINALG,
    "torch.special": _SPECIAL,
    "torch.nn.functional": _FUNCTIONAL,
    "typing": TYPES,
    "collections.abc": frozenset({"Callable", "Mapping", "Sequence"}),
    "__future__": frozenset({"annotations"}),
}

# Modules that may only be named on the way to those above
PASSAGES = frozenset({"torch.nn", "collections"})

METHODS = _names(
    """T mT shape ndim dtype device size dim numel nelement is_floating_point abs absolute acos acosh add addcdiv
    addcmul all allclose amax amin aminmax any arccos arcsin arctan arctan2 argmax argmin argsort asin asinh atan atan2
    atanh baddbmm bmm bool broadcast_to ceil chunk clamp clamp_max clamp_min clip clone contiguous copysign cos
    cosh count_nonzero cross cummax cummin cumprod cumsum cpu deg2rad det detach diag diagonal diff dist div
    divide dot double eq equal erf exp exp2 expand expand_as expm1 fix flatten flip float float_power floor
    floor_divide fmax fmin fmod frac gather ge greater greater_equal gt half heaviside hypot index_select inner
    int inverse isclose isfinite isinf isnan item le lerp less less_equal log log10 log1p log2 logaddexp
    logical_and logical_not logical_or logical_xor logit logsumexp long lt masked_fill masked_select matmul max
    maximum mean median min minimum mm moveaxis movedim mul multiply mv nan_to_num nanmean nansum narrow ne neg
    negative new_full new_ones new_tensor new_zeros norm not_equal outer permute pow prod quantile rad2deg ravel
    reciprocal relu remainder repeat repeat_interleave reshape reshape_as roll round rsqrt scatter select sgn
    sigmoid sign signbit sin sinc sinh softmax sort split sqrt square squeeze std sub subtract sum swapaxes
    swapdims t take take_along_dim tan tanh tensor_split tile to tolist topk transpose tril triu true_divide trunc
    type type_as unbind unflatten unique unsqueeze var view view_as where xlogy values indices append extend
    insert items keys get update pop setdefault copy index count join lower upper replace startswith
    endswith strip"""
)

# Keyword arguments that write in place, take gradients or draw random numbers
KEYWORDS = {
    "out": "leave out out=: it writes in place; assign the result to a name instead",
    "inplace": "leave out inplace=: use the returned tensor instead",
    "requires_grad": "leave out requires_grad=: a reward needs no gradients",
    "generator": "leave out generator=: a reward must be deterministic",
    "pin_memory": "leave out pin_memory=",
}

RANDOM = _names(
    """rand randn randint randperm rand_like randn_like randint_like bernoulli multinomial normal poisson manual_seed
    seed dropout random Generator"""
)
