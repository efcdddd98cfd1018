#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

/// A list in a buffer that is as long as the offsets say; what it cannot hold it counts but does not write.
class BoundedList {
 public:
  BoundedList(const Buffer& list, const Buffer& offsets)
      : list_(cpu(list).row<int32_t>(0)), capacity_(cpu(list).columns()), offsets_(cpu(offsets).row<int32_t>(0)) {}
  void add(int32_t value) {
    if (count_ < capacity_) list_[count_] = value;
    ++count_;
  }
  int32_t count() const { return count_; }
  int32_t expected(int branch) const { return offsets_[branch]; }
  bool agrees(int branch) const { return count_ == offsets_[branch] && count_ <= capacity_; }

 private:
  int32_t* list_;
  int32_t capacity_;
  const int32_t* offsets_;
  int32_t count_ = 0;
};

}  // namespace

void CpuStream::do_run(const SelectRows& op) {
  BoundedList rows(op.rows, op.row_offsets), logits_rows(op.logits_rows, op.logits_offsets);
  // Rows of other counts than the state's would have the operations that follow read what nobody wrote.
  const auto check = [&](int branch) {
    if (rows.agrees(branch) && logits_rows.agrees(branch)) return;
    throw Error("ERR_INTERNAL", "expected " + std::to_string(rows.expected(branch)) + " rows and " +
                                    std::to_string(logits_rows.expected(branch)) + " logits rows before branch " +
                                    std::to_string(branch) + " but the states give " + std::to_string(rows.count()) +
                                    " and " + std::to_string(logits_rows.count()));
  };
  check(0);
  for (int branch = 0; branch < op.branches; ++branch) {
    const int sample = branch % op.samples;
    const uint8_t* states = cpu(op.state).row<uint8_t>(sample);
    const int32_t* turns = cpu(op.turns).row<int32_t>(sample);
    const int32_t masked_after = cpu(op.masked_after).row<int32_t>(0)[sample];
    for (int position = 0; position <= op.tokens; ++position) {
      const uint8_t state = position == 0 ? uint8_t{kKnown} : states[position - 1];
      if (!op.refresh && state == kKnown) continue;
      const bool drawn = state == kMasked && turns[position - 1] >= masked_after;
      if (op.all_logits || drawn) logits_rows.add(rows.count());
      rows.add(branch * (op.tokens + 1) + position);
    }
    check(branch + 1);
  }
}

}  // namespace magnets::cpu
