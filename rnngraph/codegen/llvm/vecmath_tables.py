"""Constants of the elementary functions in `vecmath`, by type; made by `tests/codegen/llvm/derive_vecmath.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A floating-point type: its layout, the constants of argument reduction, limits and coefficients.

    Beyond a limit the result is known (0, ±1 or infinity after rounding), so arguments are held there. Pieces
    add up to their constant; all but the last have so few bits that their product with any multiple that
    occurs is exact. Coefficients have the lowest degree first.
    """

    fraction_bits: int
    bias: int  # the exponent field of 1.0
    one: int  # the bits of 1.0
    two_thirds: int  # the bits of 2/3
    infinity: int  # the bits of infinity, which are those of the exponent field
    smallest_normal: float
    ln2: tuple[float, float]  # pieces
    pi: tuple[float, ...]  # pieces
    half_pi: tuple[float, float]  # pieces of π/2, each as long as can be
    exp_limits: tuple[float, float]  # below: 0; above: infinity
    expm1_lower_limit: float  # below: -1
    sigmoid_upper_limit: float  # above: 1
    tanh_limit: float  # above: 1
    erf_limit: float  # above: 1
    exp: tuple[float, ...]  # h in exp(r) = 1 + r h(r), |r| <= ln2/2
    expm1: tuple[float, ...]  # q in expm1(r) = r + r² q(r), |r| <= ln2/2
    log1p: tuple[float, ...]  # q in log(1 + f) = f + f² q(f), |f| <= 1/3
    sin: tuple[float, ...]  # s in sin(r) = r + r³ s(r²), |r| <= 1.6
    atan: tuple[float, ...]  # a in atan(t) = t + t³ a(t²), 0 <= t <= 1
    erf_small: tuple[float, ...]  # p in erf(a) = a + a p(a²), 0 <= a < 1
    erf_large: tuple[float, ...]  # l in erf(a) = 1 - exp(l(a - 2)), 1 <= a

    @property
    def magic(self) -> float:
        """Added to a small number, this rounds it to an integer, which lies in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction_bits

    @property
    def sign_shift(self) -> int:
        """The place of the sign bit: 31 or 63."""
        return self.fraction_bits + self.bias.bit_length() + 1


FORMATS = {
    "float32": Format(
        fraction_bits=23, bias=127, one=0x3F800000, two_thirds=0x3F2AAAAB, infinity=0x7F800000,
        smallest_normal=2.0**-126,
        ln2=(0.693145751953125, 1.42860677e-06),
        pi=(3.140625, 0.00096893310546875, -1.2814998626708984e-06, 1.979060471057892e-09, 5.12668831e-12),
        half_pi=(1.5707963705062866, -4.371138828673793e-08),
        exp_limits=(-104.0, 89.0), expm1_lower_limit=-18.0, sigmoid_upper_limit=30.0, tanh_limit=9.25,
        erf_limit=4.0,
        exp=(1.0, 0.49999994, 0.166665211, 0.0416682772, 0.00836868864, 0.00138198177),
        expm1=(0.49999997, 0.16666545, 0.04166748, 0.00836641435, 0.00138666551),
        log1p=(-0.5, 0.333332151, -0.249998018, 0.20010446, -0.166803122, 0.140053138, -0.121868171,
               0.139868289, -0.128796816),
        sin=(-0.166666672, 0.00833335053, -0.000198430702, 2.76244987e-06, -2.54353729e-08),
        atan=(-0.333331525, 0.199937671, -0.14211005, 0.106657915, -0.0755172819, 0.0432057604, -0.0163639672,
              0.0029196539),
        erf_small=(0.128379166, -0.37612626, 0.112835787, -0.0268533509, 0.00518718269, -0.000799819594,
                   7.80868431e-05),
        erf_large=(-5.36494112, -4.41815996, -0.923752785, -0.0164793767, 0.00355544221, -0.000717857794,
                   0.000166632861, -9.12156975e-06),
    ),
    "float64": Format(
        fraction_bits=52, bias=1023, one=0x3FF0000000000000, two_thirds=0x3FE5555555555555,
        infinity=0x7FF0000000000000, smallest_normal=2.0**-1022,
        ln2=(0.6931471805601177, -1.7239444525614835e-13),
        pi=(3.1415926534682512, 1.2154201012607932e-10, 4.044532497422333e-21, 1.69568553207378e-31),
        half_pi=(1.5707963267948966, 6.123233995736766e-17),
        exp_limits=(-746.0, 710.0), expm1_lower_limit=-40.0, sigmoid_upper_limit=40.0, tanh_limit=19.5,
        erf_limit=6.0,
        exp=(1.0, 0.50000000000000111, 0.16666666666666435, 0.041666666666526631, 0.0083333333334804915,
             0.0013888888944497599, 0.00019841269536116087, 2.4801492232627734e-05, 2.7557560258825304e-06,
             2.7630551211701452e-07, 2.5008316960388789e-08),
        expm1=(0.50000000000000056, 0.16666666666666616, 0.041666666666573572, 0.008333333333372479,
               0.0013888888932423308, 0.00019841269756107587, 2.4801504358952391e-05, 2.7557374289645469e-06,
               2.7626373531299827e-07, 2.5064344379912471e-08),
        log1p=(-0.49999999999999956, 0.33333333333333154, -0.25000000000029882, 0.20000000000076706,
               -0.16666666660839768, 0.14285714274245179, -0.12500000517699661, 0.11111111962447659,
               -0.099999748298240348, 0.09090872805829768, -0.083340655197375532, 0.07693261346645254,
               -0.071295918896944782, 0.066507357076272824, -0.064001884519707786, 0.060510587044641358,
               -0.045338418289269024, 0.04178730446548512, -0.086967743654084148, 0.084932555394395495),
        sin=(-0.16666666666666666, 0.0083333333333332205, -0.00019841269841222443, 2.7557319214308185e-06,
             -2.5052107287492428e-08, 1.6058970965342028e-10, -7.6443465380897928e-13, 2.7525339054380259e-15,
             -3.0001061435776275e-18),
        atan=(-0.33333333333333071, 0.19999999999951762, -0.14285714282588949, 0.11111111007367186,
              -0.090909070082210802, 0.076922798935483247, -0.066664044590971278, 0.058805300111455287,
              -0.052535276554778063, 0.047223512708781612, -0.042192511388371996, 0.03664331428078399,
              -0.0299059943995388, 0.021987385768836947, -0.013902872681432962, 0.007198097266850341,
              -0.0028857202522251514, 0.00083159942667228261, -0.00015221997675228248, 1.3230910896658835e-05),
        erf_small=(0.12837916709551259, -0.37612638903184092, 0.11283791670970655, -0.026866170647936387,
                   0.0052239776517599146, -0.00085483284845732635, 0.00012055384471555492,
                   -1.4926844417432737e-05, 1.6480541246895151e-06, -1.6552494595754084e-07,
                   1.5987901243158012e-08, -1.6389503846223854e-09, 1.4254274806643275e-10),
        erf_large=(-5.3649412646166379, -4.4181608059944155, -0.92375084182374545, -0.016465118136802345,
                   0.0035707563451095451, -0.00073239938760208607, 0.00013530934058323977,
                   -2.0706420238539115e-05, 1.9521793615723504e-06, 2.0360803061469402e-07,
                   -1.7318525036068479e-07, 5.7846586424422139e-08, -1.3969396772086901e-08,
                   2.5005332979951331e-09, -2.5989847735040148e-10, -2.7531785174585306e-11,
                   2.9932726685110045e-11, -1.2263103917305336e-11, 2.7398258164459339e-12,
                   -2.5076363763465345e-13),
    ),
}  # fmt: skip
