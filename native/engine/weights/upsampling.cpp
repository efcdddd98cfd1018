#include "upsampling.h"

#include <cstddef>

namespace magnets {

namespace {

/// Which of 2 taps the tap of 3 falls on, in an output's first line (parity 0) or second.
constexpr int tap_of(int parity, int tap) { return (parity + tap + 1) / 2 - parity; }
static_assert(tap_of(0, 0) == 0 && tap_of(0, 1) == 1 && tap_of(0, 2) == 1);
static_assert(tap_of(1, 0) == 0 && tap_of(1, 1) == 0 && tap_of(1, 2) == 1);

}  // namespace

std::vector<float> upsampling_kernels(const std::vector<float>& kernel, int out, int in) {
  std::vector<float> kernels;
  kernels.reserve(static_cast<size_t>(out) * 16 * in);
  for (int o = 0; o < out; ++o) {
    for (int number = 0; number < 16; ++number) {  // parity by line, by column, tap by line, by column
      for (int i = 0; i < in; ++i) {
        double sum = 0;
        for (int line = 0; line < 3; ++line) {
          for (int column = 0; column < 3; ++column) {
            const bool falls_here =
                tap_of(number >> 3, line) == (number >> 1 & 1) && tap_of(number >> 2 & 1, column) == (number & 1);
            if (falls_here) sum += kernel[((static_cast<size_t>(o) * 3 + line) * 3 + column) * in + i];
          }
        }
        kernels.push_back(static_cast<float>(sum));
      }
    }
  }
  return kernels;
}

}  // namespace magnets
