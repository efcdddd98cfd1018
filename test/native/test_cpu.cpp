// What the CPU backend promises beyond the operations that every backend has.
#include "../../native/cpu/cpu_backend.h"
#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

void opens() {
  for (const int threads : {1, 3}) check(cpu::open_cpu(threads, "")->threads() == threads, "threads");
  const std::string refusal = error_of([] { cpu::open_cpu(1, "mmx"); });
  check(refusal.starts_with("ERR_UNSUPPORTED expected an instruction set of this processor (") &&
            refusal.ends_with("portable) but received mmx"),
        refusal);
  check(cpu::instruction_sets().back() == "portable", "any processor runs the portable kernels");
  for (const std::string& set : cpu::instruction_sets()) check(cpu::open_cpu(1, set)->name() == "cpu/" + set, set);
}

void keeps_no_f16() {
  const auto backend = cpu::open_cpu(1, "");
  const std::vector<float> values(6);
  const HostMatrix matrix{.data = values.data(), .dtype = DType::f32, .rows = 2, .columns = 3};
  const WeightFormat format{WeightFormat::Values::f16};
  check(error_of([&] { backend->linear(matrix, nullptr, format); }) ==
            "ERR_UNSUPPORTED expected weights kept as f32, bf16 or int8 but received f16",
        "a linear layer kept as f16");
  check(error_of([&] { backend->table(matrix, format); }) ==
            "ERR_UNSUPPORTED expected a table kept as f32 or bf16 but received f16",
        "a table kept as f16");
}

/// Offsets that are not those of the states are refused, before anything is written outside of the lists.
void selects_no_more_rows_than_there_are() {
  static constexpr int kTokens = 4, kBranches = 2, kUnused = -9;
  const auto backend = cpu::open_cpu(1, "");
  auto stream = backend->stream();
  const auto i32 = [&](const std::vector<int32_t>& values) {
    return upload_new(*backend, *stream, ElementType::i32, 1, static_cast<int>(values.size()), values);
  };
  auto state = upload_new(*backend, *stream, ElementType::u8, 1, kTokens,
                          std::vector<uint8_t>{kMasked, kRevealed, kKnown, kMasked});
  auto turns = i32(std::vector<int32_t>(kTokens, kAnyTurn)), masked_after = i32({1});
  // The states give six rows and four logits rows. A list is the first row of a buffer, guards are the rows after it.
  const auto select = [&](const std::vector<int32_t>& row_offsets, const std::vector<int32_t>& logits_offsets,
                          int rows_size, int logits_size) {
    auto rows = backend->allocate(ElementType::i32, 4, rows_size);
    auto logits_rows = backend->allocate(ElementType::i32, 4, logits_size);
    const std::vector<int32_t> unused(4 * static_cast<size_t>(std::max(rows_size, logits_size)), kUnused);
    stream->upload(unused.data(), 4, rows_size, *rows);
    stream->upload(unused.data(), 4, logits_size, *logits_rows);
    auto own_offsets = i32(row_offsets), own_logits_offsets = i32(logits_offsets);
    const std::string refusal = error_of([&] {
      stream->run(SelectRows{.state = *state,
                             .turns = *turns,
                             .masked_after = *masked_after,
                             .row_offsets = *own_offsets,
                             .logits_offsets = *own_logits_offsets,
                             .samples = 1,
                             .branches = kBranches,
                             .tokens = kTokens,
                             .refresh = false,
                             .all_logits = false,
                             .rows = *rows,
                             .logits_rows = *logits_rows});
    });
    for (const auto& [buffer, size] : {std::pair(rows.get(), rows_size), {logits_rows.get(), logits_size}}) {
      std::vector<int32_t> values(4 * static_cast<size_t>(size));
      stream->download(*buffer, 4, size, values.data());
      check(std::all_of(values.begin() + size, values.end(), [](int32_t value) { return value == kUnused; }),
            "wrote outside of the list");
    }
    return refusal;
  };
  check(select({0, 3, 6}, {0, 2, 4}, 6, 4).empty(), "the states' own counts");
  const std::string expected = "ERR_INTERNAL expected ";
  check(select({0, 2, 4}, {0, 2, 4}, 4, 4) ==
            expected + "2 rows and 2 logits rows before branch 1 but the states give 3 and 2",
        "fewer rows than the states give");
  check(select({0, 3, 6}, {0, 3, 6}, 6, 6) ==
            expected + "3 rows and 3 logits rows before branch 1 but the states give 3 and 2",
        "more logits rows than the states give");
  check(select({0, 3, 7}, {0, 2, 4}, 7, 4).starts_with(expected), "more rows than the states give");
  check(select({1, 4, 7}, {0, 2, 4}, 7, 4).starts_with(expected), "offsets that do not begin at 0");
  check(select({0, 3, 6}, {0, 2, 4}, 5, 4).starts_with(expected), "a list without room for all rows");
  check(select({0, 3, 6}, {0, 2, 4}, 6, 3).starts_with(expected), "a list without room for all logits rows");
}

}  // namespace

int main() {
  opens();
  keeps_no_f16();
  selects_no_more_rows_than_there_are();
  return report("cpu");
}
