// W (kernels.inl) where no vector of them is faster: one number at a time.
struct W {
  static constexpr int kLanes = 1;
  uint64_t v;
  static W broadcast(uint32_t x) { return {x}; }
  static W count_from(int n) { return {static_cast<uint64_t>(n)}; }
  void store(uint64_t* x) const { *x = v; }
};

inline W operator^(W a, W b) { return {a.v ^ b.v}; }
inline W times(W a, W b) { return {(a.v & 0xffffffff) * (b.v & 0xffffffff)}; }
inline W high(W a) { return {a.v >> 32}; }
