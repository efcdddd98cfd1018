#include "all_rows.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace magnets {

int sequences_at_once(int positions) {
  constexpr int kRowsAtOnce = 4096;
  return std::max(1, kRowsAtOnce / positions);
}

AllRows::AllRows(Backend& backend, int capacity, int positions) : positions_(positions) {
  const int count = capacity * positions;
  std::vector<int32_t> index(count), position(count), offsets(capacity + 1);
  std::iota(index.begin(), index.end(), 0);
  std::transform(index.begin(), index.end(), position.begin(), [&](int32_t row) { return row % positions; });
  for (int i = 0; i <= capacity; ++i) offsets[i] = i * positions;
  const auto stream = backend.stream();
  index_ = upload_new(backend, *stream, ElementType::i32, 1, count, index);
  position_ = upload_new(backend, *stream, ElementType::i32, 1, count, position);
  offsets_ = upload_new(backend, *stream, ElementType::i32, 1, capacity + 1, offsets);
}

}  // namespace magnets
