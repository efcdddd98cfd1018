// The inner loops over a vector type V. Each instruction set's file defines V and its tile in an anonymous namespace
// and includes this there, so that no code compiled for one processor can be linked into another's path: nothing
// outside that namespace is called.
//
// V: kLanes, load, store, broadcast, fma(a, b, c) = a * b + c, + - * /, max, min, round,
//    exp2i(n) = 2^n for whole n, exponent(x), mantissa(x) in [1, 2), low_bf16, high_bf16, high_bits(x) = x >> 9,
//    select_greater
// W, numbers of 64 bits: kLanes, broadcast, count_from(n): n, n + 1, ..., store, ^,
//    times(a, b): the product of the low halves, high(x) = x >> 32

/// exp(x), relative error below 2e-7 (Cephes' polynomial); x is clamped to [-87, 88].
inline V exp(V x) {
  x = max(min(x, V::broadcast(88.0f)), V::broadcast(-87.0f));
  const V n = round(x * V::broadcast(1.44269504f));
  V r = fma(n, V::broadcast(-0.693359375f), x);
  r = fma(n, V::broadcast(2.12194440e-4f), r);
  V p = V::broadcast(1.9875691500e-4f);
  p = fma(p, r, V::broadcast(1.3981999507e-3f));
  p = fma(p, r, V::broadcast(8.3334519073e-3f));
  p = fma(p, r, V::broadcast(4.1665795894e-2f));
  p = fma(p, r, V::broadcast(1.6666665459e-1f));
  p = fma(p, r, V::broadcast(5.0000001201e-1f));
  return fma(p, r * r, r + V::broadcast(1.0f)) * exp2i(n);
}

/// log(x) of a normal, positive x, relative error below 2e-7 but for absolute 1e-7 near 1 (Cephes' polynomial).
inline V log(V x) {
  V e = exponent(x);
  V m = mantissa(x);  // [1, 2) to [sqrt(1/2), sqrt(2))
  const V large = select_greater(m, V::broadcast(1.41421356f), V::broadcast(1.0f), V::broadcast(0.0f));
  m = m - m * large * V::broadcast(0.5f) - V::broadcast(1.0f);
  e = e + large;
  V p = V::broadcast(7.0376836292e-2f);
  p = fma(p, m, V::broadcast(-1.1514610310e-1f));
  p = fma(p, m, V::broadcast(1.1676998740e-1f));
  p = fma(p, m, V::broadcast(-1.2420140846e-1f));
  p = fma(p, m, V::broadcast(1.4249322787e-1f));
  p = fma(p, m, V::broadcast(-1.6668057665e-1f));
  p = fma(p, m, V::broadcast(2.0000714765e-1f));
  p = fma(p, m, V::broadcast(-2.4999993993e-1f));
  p = fma(p, m, V::broadcast(3.3333331174e-1f));
  const V square = m * m;
  V y = p * m * square;
  y = fma(e, V::broadcast(-2.12194440e-4f), y);
  y = fma(square, V::broadcast(-0.5f), y);
  return fma(e, V::broadcast(0.693359375f), m + y);
}

/// The first n < kLanes values, the rest `fill`.
inline V load_some(const float* x, int n, float fill) {
  alignas(64) float lanes[V::kLanes];
  for (int i = 0; i < V::kLanes; ++i) lanes[i] = i < n ? x[i] : fill;
  return V::load(lanes);
}

inline void store_some(float* x, int n, V value) {
  alignas(64) float lanes[V::kLanes];
  value.store(lanes);
  for (int i = 0; i < n; ++i) x[i] = lanes[i];
}

inline float sum(V value) {
  alignas(64) float lanes[V::kLanes];
  value.store(lanes);
  float total = 0;
  for (int i = 0; i < V::kLanes; ++i) total += lanes[i];
  return total;
}

/// x[i] = f(x[i]) for i < n
template <class F>
inline void map(float* x, int n, F f) {
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f(V::load(x + i)).store(x + i);
  if (i < n) store_some(x + i, n - i, f(load_some(x + i, n - i, 0.0f)));
}

/// sum of f(x[i]) for i < n; f(fill) must be 0 where lanes are filled up
template <class F>
inline float reduce(const float* x, int n, float fill, F f) {
  V total = V::broadcast(0.0f);
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) total = total + f(V::load(x + i));
  if (i < n) total = total + f(load_some(x + i, n - i, fill));
  return sum(total);
}

/// y = (x - mean) / sqrt(mean of (x - mean)² + epsilon) * weight + bias
inline void normalize(const float* x, float mean, const float* weight, const float* bias, float epsilon, int n,
                      float* y) {
  const V center = V::broadcast(mean);
  const float squares = reduce(x, n, mean, [&](V v) { return (v - center) * (v - center); });
  const V scale = V::broadcast(1.0f / __builtin_sqrtf(squares / static_cast<float>(n) + epsilon));
  const V one = V::broadcast(1.0f), zero = V::broadcast(0.0f);
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const V w = weight != nullptr ? V::load(weight + i) : one, b = bias != nullptr ? V::load(bias + i) : zero;
    fma((V::load(x + i) - center) * scale, w, b).store(y + i);
  }
  if (const int rest = n - i; rest > 0) {
    const V w = weight != nullptr ? load_some(weight + i, rest, 0) : one;
    const V b = bias != nullptr ? load_some(bias + i, rest, 0) : zero;
    store_some(y + i, rest, fma((load_some(x + i, rest, mean) - center) * scale, w, b));
  }
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int n, float* y) {
  const float mean = reduce(x, n, 0.0f, [](V v) { return v; }) / static_cast<float>(n);
  normalize(x, mean, weight, bias, epsilon, n, y);
}

void rms_norm(const float* x, const float* weight, const float* bias, float epsilon, int n, float* y) {
  normalize(x, 0.0f, weight, bias, epsilon, n, y);
}

float softmax(float* x, int n, float scale) {
  V most = V::broadcast(x[0]);
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) most = max(most, V::load(x + i));
  if (i < n) most = max(most, load_some(x + i, n - i, x[0]));
  alignas(64) float lanes[V::kLanes];
  most.store(lanes);
  float largest = lanes[0];
  for (float lane : lanes) largest = lane > largest ? lane : largest;

  const V shift = V::broadcast(largest);
  const V factor = V::broadcast(scale);
  V total = V::broadcast(0.0f);
  for (i = 0; i + V::kLanes <= n; i += V::kLanes) {
    const V value = exp((V::load(x + i) - shift) * factor);
    value.store(x + i);
    total = total + value;
  }
  float result = sum(total);
  if (i < n) {
    exp((load_some(x + i, n - i, largest) - shift) * factor).store(lanes);
    for (int lane = 0; i < n; ++i, ++lane) result += x[i] = lanes[lane];
  }
  return result;
}

void add(float* x, const float* y, int n) {
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) (V::load(x + i) + V::load(y + i)).store(x + i);
  for (; i < n; ++i) x[i] += y[i];
}

void add_scaled(float* x, const float* scale, const float* y, int n) {
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) fma(V::load(scale + i), V::load(y + i), V::load(x + i)).store(x + i);
  if (const int rest = n - i; rest > 0) {
    const V value = fma(load_some(scale + i, rest, 0), load_some(y + i, rest, 0), load_some(x + i, rest, 0));
    store_some(x + i, rest, value);
  }
}

void multiply(float* x, const float* y, int n) {
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) (V::load(x + i) * V::load(y + i)).store(x + i);
  for (; i < n; ++i) x[i] *= y[i];
}

void add_squares(float* x, const float* y, const float* center, int n) {
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const V distance = V::load(y + i) - V::load(center + i);
    fma(distance, distance, V::load(x + i)).store(x + i);
  }
  if (const int rest = n - i; rest > 0) {
    const V distance = load_some(y + i, rest, 0) - load_some(center + i, rest, 0);
    store_some(x + i, rest, fma(distance, distance, load_some(x + i, rest, 0)));
  }
}

/// x / (1 + e^-x)
inline V silu_of(V x) { return x / (V::broadcast(1.0f) + exp(V::broadcast(0.0f) - x)); }

template <class F>
inline void map_lines(const float* x, const float* scale, const float* shift, int n, float* y, F f) {
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    f(fma(V::load(x + i), V::load(scale + i), V::load(shift + i))).store(y + i);
  }
  if (const int rest = n - i; rest > 0) {
    const V line = fma(load_some(x + i, rest, 0), load_some(scale + i, rest, 0), load_some(shift + i, rest, 0));
    store_some(y + i, rest, f(line));
  }
}

void rescale(const float* x, const float* scale, const float* shift, int n, bool with_silu, float* y) {
  if (!with_silu) return map_lines(x, scale, shift, n, y, [](V v) { return v; });
  map_lines(x, scale, shift, n, y, silu_of);
}

/// x * Φ(x); erf by Abramowitz and Stegun 7.1.26, absolute error 1.5e-7.
void gelu(float* x, int n) {
  map(x, n, [](V v) {
    const V z = max(v, V::broadcast(0.0f) - v) * V::broadcast(0.70710678f);  // |x| / sqrt(2)
    const V t = V::broadcast(1.0f) / fma(z, V::broadcast(0.3275911f), V::broadcast(1.0f));
    V p = V::broadcast(1.061405429f);
    p = fma(p, t, V::broadcast(-1.453152027f));
    p = fma(p, t, V::broadcast(1.421413741f));
    p = fma(p, t, V::broadcast(-0.284496736f));
    p = fma(p, t, V::broadcast(0.254829592f));
    const V tail = p * t * exp(V::broadcast(0.0f) - z * z) * V::broadcast(0.5f);  // 1 - Φ(|x|)
    return select_greater(v, V::broadcast(0.0f), v - v * tail, v * tail);
  });
}

/// 0.5 x (1 + tanh(sqrt(2 / π) (x + 0.044715 x³))) = x * sigmoid(2 sqrt(2 / π) (x + 0.044715 x³))
void gelu_tanh(float* x, int n) {
  map(x, n, [](V v) {
    const V u = v * fma(v * v, V::broadcast(0.0713548163f), V::broadcast(1.59576912f));
    return v / (V::broadcast(1.0f) + exp(V::broadcast(0.0f) - u));
  });
}

void silu(float* x, int n) { map(x, n, silu_of); }

/// 1 - 2 / (1 + e^2x), absolute error 2e-7
void tanh(float* x, int n) {
  const V one = V::broadcast(1.0f), two = V::broadcast(2.0f);
  map(x, n, [&](V v) { return one - two / (one + exp(two * v)); });
}

/// As many blocks of Philox (philox.h) at a time as a W has lanes. Only the low half of a lane counts until the end.
void philox(uint64_t seed, uint32_t sub_token, uint32_t step, uint32_t sample, int n, uint32_t* bits) {
  const W factor0 = W::broadcast(0xd2511f53), factor1 = W::broadcast(0xcd9e8d57);
  for (int first = 0; first * 4 < n; first += W::kLanes) {
    W counter[] = {W::count_from(first), W::broadcast(sub_token), W::broadcast(step), W::broadcast(sample)};
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const W product0 = times(counter[0], factor0), product1 = times(counter[2], factor1);
      counter[0] = high(product1) ^ counter[1] ^ W::broadcast(key0);
      counter[1] = product1;
      counter[2] = high(product0) ^ counter[3] ^ W::broadcast(key1);
      counter[3] = product0;
      key0 += 0x9e3779b9;
      key1 += 0xbb67ae85;
    }
    alignas(64) uint64_t lanes[4][W::kLanes];
    for (int i = 0; i < 4; ++i) counter[i].store(lanes[i]);
    const int blocks = (n + 3) / 4 - first < W::kLanes ? (n + 3) / 4 - first : W::kLanes;
    for (int block = 0; block < blocks; ++block) {
      for (int i = 0; i < 4; ++i) bits[(first + block) * 4 + i] = static_cast<uint32_t>(lanes[i][block]);
    }
  }
}

void gumbel(const uint32_t* bits, int n, float* x) {
  const auto transform = [](V counts) {
    const V uniform = (counts + V::broadcast(0.5f)) * V::broadcast(0x1p-23f);
    const V zero = V::broadcast(0.0f);
    return zero - log(zero - log(uniform));
  };
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) transform(V::high_bits(bits + i)).store(x + i);
  if (const int rest = n - i; rest > 0) {
    alignas(64) uint32_t some[V::kLanes] = {};
    for (int lane = 0; lane < rest; ++lane) some[lane] = bits[i + lane];
    store_some(x + i, rest, transform(V::high_bits(some)));
  }
}

int largest(const float* x, int n) {
  alignas(64) float values[V::kLanes], places[V::kLanes];
  for (int lane = 0; lane < V::kLanes; ++lane) places[lane] = static_cast<float>(lane);
  V most = V::broadcast(-__builtin_inff()), place = V::broadcast(0.0f), here = V::load(places);
  const auto look = [&](V v) {
    place = select_greater(v, most, here, place);
    most = select_greater(v, most, v, most);
    here = here + V::broadcast(V::kLanes);
  };
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) look(V::load(x + i));
  if (i < n) look(load_some(x + i, n - i, -__builtin_inff()));
  most.store(values);
  place.store(places);
  int best = 0;
  for (int lane = 1; lane < V::kLanes; ++lane) {
    const bool same = values[lane] == values[best];
    if (same ? places[lane] < places[best] : values[lane] > values[best]) best = lane;
  }
  return static_cast<int>(places[best]);
}

// The formats of a packed row (packed_linear.h). A tile passes over it once for some of its columns, those of kVectors
// vectors from weight kFirst on: where vector v of a pass lies, and V::kLanes weights from a column on.
struct F32 {
  using Weight = float;
  static constexpr int kRow = kPanel, kRows = kTileRows, kVectors = kTileVectors, kStep = kVectors * V::kLanes;
  static constexpr int column(int first, int v) { return first + v * V::kLanes; }
  static V load(const float* row, int column) { return V::load(row + column); }
};
/// A pass takes both halves of its pairs, so each is loaded once.
struct Bf16 {
  using Weight = uint32_t;
  static constexpr int kRow = kPanel / 2, kRows = kBf16TileRows, kVectors = kBf16TileVectors,
                       kStep = kVectors / 2 * V::kLanes;
  static constexpr int column(int first, int v) { return first + v / 2 * V::kLanes + v % 2 * kRow; }
  static V load(const uint32_t* row, int column) {
    return column < kRow ? V::low_bf16(row + column) : V::high_bf16(row + column - kRow);
  }
};

// Accumulators stay in registers only where every loop over them is unrolled; GCC leaves long ones as they are.
#define MAGNETS_UNROLL _Pragma("GCC unroll 32")

template <class Format, int kRows, int kFirst>
inline void tile_columns(const float* a, size_t a_stride, const typename Format::Weight* panel, int k, bool accumulate,
                         const float* bias, float* c, size_t c_stride, Ahead ahead) {
  constexpr int kVectors = Format::kVectors;
  V total[kRows][kVectors];
  MAGNETS_UNROLL
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kVectors; ++v) {
      total[row][v] = accumulate ? V::load(c + row * c_stride + Format::column(kFirst, v)) : V::broadcast(0.0f);
    }
  }
  const char* next = static_cast<const char*>(ahead.first);
  for (int i = 0; i < k; ++i, panel += Format::kRow, next += ahead.step) {
    if constexpr (kPrefetchBytes > 0) __builtin_prefetch(reinterpret_cast<const char*>(panel) + kPrefetchBytes);
    __builtin_prefetch(next, 0, 2);
    // The fewer wait in registers, the others come one by one.
    if constexpr (kRows < kVectors) {
      V x[kRows];
      MAGNETS_UNROLL
      for (int row = 0; row < kRows; ++row) x[row] = V::broadcast(a[row * a_stride + i]);
      MAGNETS_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const V b = Format::load(panel, Format::column(kFirst, v));
        for (int row = 0; row < kRows; ++row) total[row][v] = fma(x[row], b, total[row][v]);
      }
    } else {
      V b[kVectors];
      MAGNETS_UNROLL
      for (int v = 0; v < kVectors; ++v) b[v] = Format::load(panel, Format::column(kFirst, v));
      MAGNETS_UNROLL
      for (int row = 0; row < kRows; ++row) {
        const V x = V::broadcast(a[row * a_stride + i]);
        for (int v = 0; v < kVectors; ++v) total[row][v] = fma(x, b[v], total[row][v]);
      }
    }
  }
  if (bias != nullptr) {
    MAGNETS_UNROLL
    for (int row = 0; row < kRows; ++row) {
      for (int v = 0; v < kVectors; ++v) total[row][v] = total[row][v] + V::load(bias + Format::column(kFirst, v));
    }
  }
  MAGNETS_UNROLL
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kVectors; ++v) total[row][v].store(c + row * c_stride + Format::column(kFirst, v));
  }
}

template <class Format, int kRows, int kFirst = 0>
inline void tile_rows(const float* a, size_t a_stride, const typename Format::Weight* panel, int k, bool accumulate,
                      const float* bias, float* c, size_t c_stride, Ahead ahead) {
  tile_columns<Format, kRows, kFirst>(a, a_stride, panel, k, accumulate, bias, c, c_stride, ahead);
  constexpr int next = kFirst + Format::kStep;
  if constexpr (next < Format::kRow) {
    tile_rows<Format, kRows, next>(a, a_stride, panel, k, accumulate, bias, c, c_stride, ahead);
  }
}

template <class Format, int kRows = Format::kRows>
void tile(int rows, const float* a, size_t a_stride, const typename Format::Weight* panel, int k, bool accumulate,
          const float* bias, float* c, size_t c_stride, Ahead ahead) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return tile<Format, kRows - 1>(rows, a, a_stride, panel, k, accumulate, bias, c, c_stride, ahead);
    }
  }
  tile_rows<Format, kRows>(a, a_stride, panel, k, accumulate, bias, c, c_stride, ahead);
}

double burn(int iterations) {
  constexpr int kChains = kTileRows * kTileVectors;
  V total[kChains];
  MAGNETS_UNROLL
  for (int i = 0; i < kChains; ++i) total[i] = V::broadcast(1.0f + i);  // not all the same: one would do for all
  const V factor = V::broadcast(0.999f);
  const V term = V::broadcast(0.001f);
  for (int i = 0; i < iterations; ++i) {
    MAGNETS_UNROLL
    for (int j = 0; j < kChains; ++j) total[j] = fma(total[j], factor, term);
  }
  volatile float keep = 0;
  MAGNETS_UNROLL
  for (int i = 0; i < kChains; ++i) keep = keep + sum(total[i]);
  return 2.0 * iterations * kChains * V::kLanes;
}

constexpr Kernels kKernels = {kName,      kTileRows, kBf16TileRows, kInputBlock, tile<F32>,  tile<Bf16>,
                              layer_norm, rms_norm,  softmax,       add,         add_scaled, add_squares,
                              multiply,   rescale,   gelu,          gelu_tanh,   silu,       tanh,
                              philox,     gumbel,    largest,       burn};
