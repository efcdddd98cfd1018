// Philox4x32-10, a counter-based random generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC'11), and how the sampler uses it. Every backend draws these numbers, so a sample depends on nothing but its own
// key.
//
//   key      seed's low and high 32 bits
//   counter  (block, position, step, sample)      position: token, without the class token; sample: its number
//   token    entry v of the vocabulary takes lane v % 4 of block v / 4
//   choice   the confidence of a position takes lane 0 of block 0xffffffff
//   order    where the rolled order of a sample begins takes lane 0 of block 0xfffffffe, position 0, step 0
//            (lib/plan/halton.ts)
#pragma once

#include <array>
#include <cstdint>

namespace magnets {

using PhiloxBlock = std::array<uint32_t, 4>;

constexpr PhiloxBlock philox(PhiloxBlock counter, uint64_t seed) {
  uint32_t key0 = static_cast<uint32_t>(seed);
  uint32_t key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xd2511f53} * counter[0];
    const uint64_t product1 = uint64_t{0xcd9e8d57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9e3779b9;
    key1 += 0xbb67ae85;
  }
  return counter;
}

constexpr uint32_t kChoiceBlock = 0xffffffff;

/// Uniform in (0, 1), exact in f32: neither end can come out.
constexpr float to_uniform(uint32_t bits) { return (static_cast<float>(bits >> 9) + 0.5f) * 0x1p-23f; }

}  // namespace magnets
