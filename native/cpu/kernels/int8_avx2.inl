// What AVX2 with and without VNNI share: 6 x 16 tiles, sums of 8 outputs in a register.

constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;

struct I {
  static constexpr int kLanes = 8;
  __m256i v;
  static I start(int32_t row_sum) { return {_mm256_set1_epi32(-128 * row_sum)}; }
  void add_to(int32_t* x) const {
    auto* sums = reinterpret_cast<__m256i*>(x);
    _mm256_storeu_si256(sums, _mm256_add_epi32(v, _mm256_loadu_si256(sums)));
  }
  void store(int32_t* x) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(x), v); }
};
