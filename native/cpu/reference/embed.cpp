#include "reference.h"

namespace magnets::reference {

Matrix embed(const Matrix& table, const Matrix& positions, const std::vector<int32_t>& ids,
             const std::vector<int32_t>& first_ids, const std::vector<int32_t>& rows, const NormValues* norm,
             int sub_tokens) {
  const int tokens = positions.rows - 1;
  const int samples = static_cast<int>(ids.size()) / (tokens * sub_tokens);
  Matrix sums(static_cast<int>(rows.size()), table.columns);
  for (int row = 0; row < sums.rows; ++row) {
    const int branch = rows[row] / positions.rows;
    const int position = rows[row] % positions.rows;
    for (int i = 0; i < sums.columns; ++i) {
      sums.at(row, i) = positions.at(position, i);
      if (position == 0) sums.at(row, i) += table.at(first_ids[branch], i);
      for (int j = 0; position > 0 && j < sub_tokens; ++j) {
        sums.at(row, i) += table.at(ids[(branch % samples * tokens + position - 1) * sub_tokens + j], i);
      }
    }
  }
  return norm != nullptr ? normalize(sums, *norm) : sums;
}

}  // namespace magnets::reference
