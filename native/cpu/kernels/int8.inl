// The inner loops over a vector of sums I. Each instruction set's file defines it in an anonymous namespace and
// includes this there, as kernels.inl is. What rounds is plain C++, compiled without contraction of a * b + c for what
// the file may use, so that every file rounds alike.
//
// I: kLanes, start(row_sum), add_to(sums), store; kTileRows, kTileVectors; Input, the type of a q in memory; kOrder;
// kParts of a group:
//    weights<part>(panel), inputs<part>(q) for all lanes, dot(total, weights, inputs)

inline uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

Int8Row quantize(const float* x, int n, void* q) {
  uint32_t most = 0;  // without their signs floats are in the order of their bits, infinity and what is no number last
  for (int i = 0; i < n; ++i) {
    const uint32_t bits = bits_of(x[i]) & 0x7fffffff;
    most = bits > most ? bits : most;
  }
  constexpr float kLeast = 0x1p-100f;  // of a row with less everything is near enough to zero
  const float largest = float_of(most) < kLeast ? kLeast : float_of(most);
  const float factor = 127.0f / largest;
  constexpr float kShift = 12582912.0f;  // beside 1.5 * 2^23 the last bits of a float are a whole number
  auto* to = static_cast<Input*>(q);
  int32_t sum = 0;
  for (int i = 0; i < n; ++i) {
    const auto value = static_cast<int8_t>(bits_of(x[i] * factor + kShift));
    to[i] = value;
    sum += value;
  }
  for (int i = n; i % kInputGroup != 0; ++i) to[i] = 0;
  return {largest * (1.0f / 127.0f), sum};
}

void finish(const int32_t* __restrict sums, float scale, const float* __restrict scales, const float* __restrict bias,
            int n, bool add, float* __restrict y) {
  if (add) {
    for (int i = 0; i < n; ++i) y[i] += static_cast<float>(sums[i]) * (scale * scales[i]) + bias[i];
  } else {
    for (int i = 0; i < n; ++i) y[i] = static_cast<float>(sums[i]) * (scale * scales[i]) + bias[i];
  }
}

// Accumulators stay in registers only where every loop over them is unrolled.
#define MAGNETS_UNROLL _Pragma("GCC unroll 32")

static_assert(kParts <= 4);

template <int kPart, int kRows, int kFirst>
inline void add_part(const Input* q, size_t q_stride, const uint8_t* panel, I (&total)[kRows][kTileVectors]) {
  decltype(weights<kPart>(panel)) w[kTileVectors];
  MAGNETS_UNROLL
  for (int v = 0; v < kTileVectors; ++v) w[v] = weights<kPart>(panel + (kFirst + v * I::kLanes) * kInputGroup);
  MAGNETS_UNROLL
  for (int row = 0; row < kRows; ++row) {
    const auto x = inputs<kPart>(q + row * q_stride);
    MAGNETS_UNROLL
    for (int v = 0; v < kTileVectors; ++v) total[row][v] = dot(total[row][v], w[v], x);
  }
}

template <int kRows, int kFirst>
inline void tile_columns(const Input* q, size_t q_stride, const int32_t* row_sums, const uint8_t* panel, int groups,
                         bool accumulate, int32_t* sums) {
  I total[kRows][kTileVectors];
  MAGNETS_UNROLL
  for (int row = 0; row < kRows; ++row) {
    MAGNETS_UNROLL
    for (int v = 0; v < kTileVectors; ++v) total[row][v] = I::start(accumulate ? 0 : row_sums[row]);
  }
  for (int group = 0; group < groups; ++group, q += kInputGroup, panel += kPanel * kInputGroup) {
    add_part<0, kRows, kFirst>(q, q_stride, panel, total);
    if constexpr (kParts > 1) add_part<1, kRows, kFirst>(q, q_stride, panel, total);
    if constexpr (kParts > 2) add_part<2, kRows, kFirst>(q, q_stride, panel, total);
    if constexpr (kParts > 3) add_part<3, kRows, kFirst>(q, q_stride, panel, total);
  }
  MAGNETS_UNROLL
  for (int row = 0; row < kRows; ++row) {
    MAGNETS_UNROLL
    for (int v = 0; v < kTileVectors; ++v) {
      int32_t* to = sums + row * kPanel + kFirst + v * I::kLanes;
      if (accumulate) {
        total[row][v].add_to(to);
      } else {
        total[row][v].store(to);
      }
    }
  }
}

template <int kRows, int kFirst = 0>
inline void tile_rows(const Input* q, size_t q_stride, const int32_t* row_sums, const uint8_t* panel, int groups,
                      bool accumulate, int32_t* sums) {
  tile_columns<kRows, kFirst>(q, q_stride, row_sums, panel, groups, accumulate, sums);
  constexpr int next = kFirst + kTileVectors * I::kLanes;
  if constexpr (next < kPanel) tile_rows<kRows, next>(q, q_stride, row_sums, panel, groups, accumulate, sums);
}

template <int kRows = kTileRows>
void tile(int rows, const void* q, size_t q_stride, const int32_t* row_sums, const uint8_t* panel, int groups,
          bool accumulate, int32_t* sums) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile<kRows - 1>(rows, q, q_stride, row_sums, panel, groups, accumulate, sums);
  }
  const auto* rows_q = static_cast<const Input*>(q);
  tile_rows<kRows>(rows_q, q_stride / sizeof(Input), row_sums, panel, groups, accumulate, sums);
}

static_assert(kPanel % (kTileVectors * I::kLanes) == 0);

constexpr Int8Kernels kInt8Kernels = {kName,    kTileRows, sizeof(Input), {kOrder[0], kOrder[1], kOrder[2], kOrder[3]},
                                      quantize, tile,      finish};
