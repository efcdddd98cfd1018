#include "reference.h"

namespace magnets::reference {

Matrix embed(const Matrix& table, const Matrix& positions, const std::vector<int32_t>& ids,
             const std::vector<int32_t>& first_ids, const std::vector<int32_t>& rows, const NormValues* norm) {
  const int tokens = positions.rows - 1;
  const int samples = static_cast<int>(ids.size()) / tokens;
  Matrix sums(static_cast<int>(rows.size()), table.columns);
  for (int row = 0; row < sums.rows; ++row) {
    const int branch = rows[row] / positions.rows;
    const int position = rows[row] % positions.rows;
    const int id = position == 0 ? first_ids[branch] : ids[branch % samples * tokens + position - 1];
    for (int i = 0; i < sums.columns; ++i) sums.at(row, i) = table.at(id, i) + positions.at(position, i);
  }
  return norm != nullptr ? normalize(sums, *norm) : sums;
}

}  // namespace magnets::reference
