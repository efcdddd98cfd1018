// What the two kinds of AVX-512 share: 12 x 32 tiles, sums of 16 outputs in a register.

constexpr int kTileRows = 12;
constexpr int kTileVectors = 2;

struct I {
  static constexpr int kLanes = 16;
  __m512i v;
  static I start(int32_t row_sum) { return {_mm512_set1_epi32(-128 * row_sum)}; }
  void add_to(int32_t* x) const { _mm512_storeu_si512(x, _mm512_add_epi32(v, _mm512_loadu_si512(x))); }
  void store(int32_t* x) const { _mm512_storeu_si512(x, v); }
};
