#include <cmath>

#include "reference.h"

namespace magnets::reference {

Matrix group_statistics(const Matrix& x, const Grid& grid, int groups, const NormValues& norm) {
  const int pixels = grid.height * grid.width, of_group = x.columns / groups;
  Matrix scale_shift(grid.samples, 2 * x.columns);
  for (int sample = 0; sample < grid.samples; ++sample) {
    for (int group = 0; group < groups; ++group) {
      double mean = 0, variance = 0;
      const auto over = [&](const auto& visit) {
        for (int row = sample * pixels; row < (sample + 1) * pixels; ++row) {
          for (int i = group * of_group; i < (group + 1) * of_group; ++i) visit(x.at(row, i));
        }
      };
      over([&](double value) { mean += value / pixels / of_group; });
      over([&](double value) { variance += std::pow(value - mean, 2) / pixels / of_group; });
      for (int i = group * of_group; i < (group + 1) * of_group; ++i) {
        const double scale = norm.weight[i] / std::sqrt(variance + norm.epsilon);
        scale_shift.at(sample, i) = scale;
        scale_shift.at(sample, x.columns + i) = norm.bias[i] - mean * scale;
      }
    }
  }
  return scale_shift;
}

}  // namespace magnets::reference
