// Sequences of which every position is computed, as the rows of one pass.
#pragma once

#include <memory>

#include "../../ops/backend.h"

namespace magnets {

/// Sequences of one pass: enough rows to fill a device, few enough for little memory.
int sequences_at_once(int positions);

class AllRows {
 public:
  AllRows(Backend& backend, int capacity, int positions);

  /// The first `count` sequences.
  Rows rows(int count) const {
    return {.index = *index_,
            .offsets = *offsets_,
            .branches = count,
            .positions = positions_,
            .count = count * positions_,
            .most = positions_};
  }
  /// i32 [1, rows]: each row's position.
  const Buffer& positions() const { return *position_; }

 private:
  int positions_;
  std::unique_ptr<Buffer> index_, position_, offsets_;
};

}  // namespace magnets
