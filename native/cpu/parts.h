// Cutting evenly: parts of almost the same size, so that no last one is left that is too small to be fast.
#pragma once

#include <cstdint>

namespace magnets::cpu {

/// How many parts of at most `most` there are.
constexpr int parts_of(int extent, int most) { return (extent + most - 1) / most; }

/// Where a part of `extent` begins; it ends where the next one does.
constexpr int begin_of(int extent, int part, int parts) {
  return static_cast<int>(static_cast<int64_t>(extent) * part / parts);
}

}  // namespace magnets::cpu
