// Choosing rows, embeddings, gathering, norms, the largest of a row, and numbers that are put between operations.
#include <algorithm>

#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// The elements of the first rows and columns of what Guarded::read gave.
std::vector<float> part_of(const std::vector<float>& values, const Guarded& buffer, int rows, int columns) {
  std::vector<float> part;
  for (int row = 0; row < rows; ++row) {
    const auto first = values.begin() + static_cast<long>(row) * buffer.columns;
    part.insert(part.end(), first, first + columns);
  }
  return part;
}

/// The order of sub-tokens, and how far along it each sample is after the step.
struct Turns {
  std::vector<int32_t> of_tokens, masked_after;
};

/// Turns that have all come.
Turns any_turn(int samples, int tokens) {
  return {std::vector<int32_t>(static_cast<size_t>(samples) * tokens, kAnyTurn), std::vector<int32_t>(samples, 3)};
}

/// Rows to be selected: what tells which, where they are listed, with room for more than there are, and what the lists
/// must be.
class Selection {
 public:
  const reference::SelectedRows expected;

  Selection(Backend& backend, Stream& stream, const std::vector<uint8_t>& states, const Turns& turns, int branches,
            int tokens, bool refresh, bool all_logits, int sub_tokens)
      : expected(reference::select_rows(states, turns.of_tokens, turns.masked_after, branches, tokens, refresh,
                                        all_logits, sub_tokens)),
        samples_(static_cast<int>(turns.masked_after.size())),
        branches_(branches),
        tokens_(tokens),
        sub_tokens_(sub_tokens),
        refresh_(refresh),
        all_logits_(all_logits) {
    const auto upload = [&](ElementType type, int rows, const auto& values) {
      return upload_new(backend, stream, type, rows, static_cast<int>(values.size()) / rows, values);
    };
    state_ = upload(ElementType::u8, samples_, states);
    turns_ = upload(ElementType::i32, samples_, turns.of_tokens);
    masked_after_ = upload(ElementType::i32, 1, turns.masked_after);
    row_offsets_ = upload(ElementType::i32, 1, expected.row_offsets);
    logits_offsets_ = upload(ElementType::i32, 1, expected.logits_offsets);
    const std::vector<int32_t> unused(branches * (tokens + 1) + 1, kUnused);
    rows_ = upload(ElementType::i32, 1, unused);
    logits_rows_ = upload(ElementType::i32, 1, unused);
  }

  SelectRows operation() const {
    return {.state = *state_,
            .turns = *turns_,
            .masked_after = *masked_after_,
            .row_offsets = *row_offsets_,
            .logits_offsets = *logits_offsets_,
            .samples = samples_,
            .branches = branches_,
            .tokens = tokens_,
            .sub_tokens = sub_tokens_,
            .refresh = refresh_,
            .all_logits = all_logits_,
            .rows = *rows_,
            .logits_rows = *logits_rows_};
  }
  /// As the operations that follow are told of them.
  Rows rows() const {
    return {.index = *rows_,
            .offsets = *row_offsets_,
            .branches = branches_,
            .positions = tokens_ + 1,
            .count = static_cast<int>(expected.rows.size()),
            .most = tokens_ + 1};
  }
  void check_lists(Stream& stream, const char* what) const {
    const auto holds = [&](const Buffer& buffer, std::vector<int32_t> list) {
      std::vector<int32_t> values(branches_ * (tokens_ + 1) + 1);
      list.resize(values.size(), kUnused);
      stream.download(buffer, 1, static_cast<int>(values.size()), values.data());
      check(values == list, what);
    };
    holds(*rows_, expected.rows);
    holds(*logits_rows_, expected.logits_rows);
  }

 private:
  static constexpr int kUnused = -9;

  int samples_, branches_, tokens_, sub_tokens_;
  bool refresh_, all_logits_;
  std::unique_ptr<Buffer> state_, turns_, masked_after_, row_offsets_, logits_offsets_, rows_, logits_rows_;
};

/// What SelectRows lists, which the reference lists too.
reference::SelectedRows select(Backend& backend, const std::vector<uint8_t>& states, const Turns& turns, int branches,
                               int tokens, bool refresh, bool all_logits, int sub_tokens = 1) {
  auto stream = backend.stream();
  const Selection selection(backend, *stream, states, turns, branches, tokens, refresh, all_logits, sub_tokens);
  stream->run(selection.operation());
  selection.check_lists(*stream, "SelectRows");
  return selection.expected;
}

void selects_rows(Backend& backend) {
  using List = std::vector<int32_t>;
  const std::vector<uint8_t> states = {kKnown,  kMasked, kRevealed, kKnown,  kMasked,   // sample 0
                                       kMasked, kMasked, kMasked,   kMasked, kMasked};  // sample 1
  const Turns any = any_turn(2, 5);
  const auto cached = select(backend, states, any, 2, 5, false, false);
  check(cached.rows == List{2, 3, 5, 7, 8, 9, 10, 11} && cached.logits_rows == List{0, 2, 3, 4, 5, 6, 7},
        "cached rows");
  const auto all = select(backend, states, any, 2, 5, true, false);
  check(all.rows == List{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} && all.logits_rows == List{2, 5, 7, 8, 9, 10, 11},
        "all rows");
  check(select(backend, states, any, 4, 5, false, false).rows[8] == 12 + 2, "the second half of a guided batch");
  const Turns turns{{5, 0, 5, 5, 1, 2, 0, 4, 1, 3}, {1, 2}};  // those of known positions mean nothing
  const auto in_turns = select(backend, states, turns, 2, 5, false, false);
  check(in_turns.rows == cached.rows && in_turns.logits_rows == List{2, 3, 5, 7}, "logits rows whose turn has come");

  const std::vector<uint8_t> pairs = {kKnown, kKnown, kMasked, kRevealed, kKnown, kMasked, kKnown, kKnown};
  const auto filled = select(backend, pairs, any_turn(1, 8), 1, 4, false, false, 2);
  check(filled.rows == List{1, 2, 3} && filled.logits_rows == List{1, 2}, "three wait in two positions: one fills up");
  const auto whole = select(backend, std::vector<uint8_t>(8, kMasked), any_turn(1, 8), 1, 4, false, false, 2);
  check(whole.rows == List{1, 2, 3, 4} && whole.logits_rows == List{0, 1, 2, 3}, "no more rows than positions");

  Random random(4);
  for (const int tokens : {1, 31, 64, 300}) {
    for (const int sub_tokens : {1, 2, 3}) {
      const int width = tokens * sub_tokens;
      for (const int kinds : {1, 2, 3}) {  // nothing but what is known, nothing revealed, all three
        std::vector<uint8_t> some(3 * width);
        const int every = sub_tokens == 1 ? 1 : 4;  // few: else what waits fills every position
        for (uint8_t& state : some) state = static_cast<uint8_t>(random.below(every) > 0 ? 0 : random.below(kinds));
        Turns own = any_turn(3, width);
        own.masked_after = {0, width / 2, width};
        for (int32_t& turn : own.of_tokens) turn = random.below(width);
        for (const bool refresh : {false, true}) {
          for (const bool all_logits : {false, true}) {
            select(backend, some, any_turn(3, width), 6, tokens, refresh, all_logits, sub_tokens);
            select(backend, some, own, 6, tokens, refresh, all_logits, sub_tokens);
          }
        }
      }
    }
  }
}

void embeds(const Subject& subject, Backend& backend, WeightFormat format, int columns, bool normed, int sub_tokens) {
  constexpr int kEntries = 37, kPositions = 4;
  Random random(columns);
  const auto entries = random.matrix(kEntries, columns), places = random.matrix(kPositions, columns);
  auto stream = backend.stream();
  auto table = backend.table({to_floats(entries).data(), DType::f32, kEntries, columns}, format);
  auto positions = upload_new(backend, *stream, ElementType::f32, kPositions, columns, to_floats(places));
  std::vector<int32_t> ids = {1, 36, 3, 15, 16, 31, 2, 0, 36, 35, 8, 9};
  ids.resize(2 * (kPositions - 1) * sub_tokens);
  const std::vector<int32_t> first_ids = {7, 8, 32, 32};
  auto ids_buffer = upload_new(backend, *stream, ElementType::i32, 2, (kPositions - 1) * sub_tokens, ids);
  auto first_ids_buffer = upload_new(backend, *stream, ElementType::i32, 1, 4, first_ids);
  const RandomNorm norm(backend, *stream, random, columns);
  const RowList list(backend, *stream, {{0, 2}, {1}, {0}, {0, 3}}, kPositions);
  const Rows rows = list.rows();
  Guarded x(backend, *stream, reference::Matrix(rows.count, columns));
  stream->run(Embed{.table = *table,
                    .positions = *positions,
                    .ids = *ids_buffer,
                    .first_ids = *first_ids_buffer,
                    .samples = 2,
                    .sub_tokens = sub_tokens,
                    .rows = rows,
                    .norm = normed ? &norm.norm : nullptr,
                    .columns = columns,
                    .x = *x.buffer});
  const auto values = x.read(*stream, rows.count, columns, "Embed");
  const auto expected =
      reference::embed(entries, places, ids, first_ids, list.values, normed ? &norm.values : nullptr, sub_tokens);
  for (int row = 0; row < rows.count; ++row) {
    for (int i = 0; i < columns; ++i) {
      if (!normed) {  // exact in f32: all terms have 8 bits
        check(values[row * x.columns + i] == subject.rounded(expected.at(row, i)), "Embed without a norm");
        continue;
      }
      // Sums below 2 whose deviation is about 0.8, normalized below 2 / 0.5. They may be rounded before, and are after.
      const double bound = (columns + 10) * kUnit * 2 / 0.5 + 2 * subject.roundoff(4);
      check_near(values[static_cast<size_t>(row) * x.columns + i], expected.at(row, i), bound, "Embed");
    }
  }
}

/// Selecting and embedding at once makes the lists and the rows that both make one after the other, to the bit.
void selects_and_embeds(Backend& backend, WeightFormat format, int tokens, int sub_tokens, bool refresh,
                        bool all_logits) {
  constexpr int kEntries = 9, kColumns = 33, kSamples = 3;
  const int width = tokens * sub_tokens;
  Random random(tokens);
  std::vector<uint8_t> states(static_cast<size_t>(kSamples) * width);
  for (uint8_t& state : states) state = static_cast<uint8_t>(random.below(4) > 0 ? 0 : random.below(3));
  std::fill_n(states.begin() + width, width, kKnown);  // of sample 1 nothing is active without a refresh
  Turns turns = any_turn(kSamples, width);
  for (int32_t& turn : turns.of_tokens) turn = random.below(6);
  std::vector<int32_t> ids(states.size());
  for (int32_t& id : ids) id = random.below(kEntries);

  auto stream = backend.stream();
  auto table =
      backend.table({to_floats(random.matrix(kEntries, kColumns)).data(), DType::f32, kEntries, kColumns}, format);
  auto places = upload_new(backend, *stream, ElementType::f32, tokens + 1, kColumns,
                           to_floats(random.matrix(tokens + 1, kColumns)));
  const RandomNorm norm(backend, *stream, random, kColumns);
  auto ids_buffer = upload_new(backend, *stream, ElementType::i32, kSamples, width, ids);
  for (const int branches : {kSamples, 2 * kSamples, 13 * kSamples}) {  // more than a warp has lanes
    std::vector<int32_t> first(branches);
    for (int32_t& id : first) id = random.below(kEntries);
    auto first_ids = upload_new(backend, *stream, ElementType::i32, 1, branches, first);
    std::vector<float> embedded[2];
    for (const bool at_once : {false, true}) {
      const Selection selection(backend, *stream, states, turns, branches, tokens, refresh, all_logits, sub_tokens);
      const int count = selection.rows().count;
      Guarded x(backend, *stream, reference::Matrix(count, kColumns));
      const SelectRows select = selection.operation();
      const Embed embed{.table = *table,
                        .positions = *places,
                        .ids = *ids_buffer,
                        .first_ids = *first_ids,
                        .samples = kSamples,
                        .sub_tokens = sub_tokens,
                        .rows = selection.rows(),
                        .norm = &norm.norm,
                        .columns = kColumns,
                        .x = *x.buffer};
      if (at_once) {
        stream->run(select, embed);
      } else {
        stream->run(select);
        stream->run(embed);
      }
      embedded[at_once] = x.read(*stream, count, kColumns, "Embed");
      selection.check_lists(*stream, "SelectRows with Embed");
    }
    check(embedded[0] == embedded[1], "Embed with SelectRows");
  }
}

void looks_up(const Subject& subject, Backend& backend, WeightFormat format, int columns, bool at_positions) {
  constexpr int kEntries = 37, kSequence = 3;
  Random random(columns);
  const auto entries = random.matrix(kEntries, columns + 5);
  const auto places = at_positions ? random.matrix(kSequence, columns + 5) : reference::Matrix(kSequence, columns + 5);
  auto stream = backend.stream();
  auto table = backend.table({to_floats(entries).data(), DType::f32, kEntries, columns + 5}, format);
  auto positions = upload_new(backend, *stream, ElementType::f32, kSequence, columns + 5, to_floats(places));
  const std::vector<int32_t> ids = {0, 36, 3, 15, 16, 31, 1};
  const int rows = static_cast<int>(ids.size());
  auto ids_buffer = upload_new(backend, *stream, ElementType::i32, 1, rows, ids);
  Guarded y(backend, *stream, reference::Matrix(rows, columns));
  stream->run(Lookup{.table = *table,
                     .ids = *ids_buffer,
                     .positions = at_positions ? positions.get() : nullptr,
                     .rows = rows,
                     .sequence = kSequence,
                     .columns = columns,
                     .y = *y.buffer});
  const auto values = y.read(*stream, rows, columns, "Lookup");
  const auto expected = reference::lookup(entries, ids, places);
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < columns; ++i) {  // exact in f32: both terms have 8 bits
      check(values[row * y.columns + i] == subject.rounded(expected.at(row, i)), "Lookup");
    }
  }
}

void gathers(Backend& backend) {
  Random random(2);
  const auto x = random.matrix(40, 24);  // of which 19 columns are wanted
  auto stream = backend.stream();
  std::vector<int32_t> index(30);
  for (int32_t& row : index) row = random.below(40);
  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(30, 19));
  auto indices = upload_new(backend, *stream, ElementType::i32, 1, 30, index);
  stream->run(Gather{.x = {*input.buffer}, .index = *indices, .count = 30, .columns = 19, .y = *output.buffer});
  const auto values = output.read(*stream, 30, 19, "Gather");
  const auto expected = reference::gather(x, index);
  for (int row = 0; row < 30; ++row) {
    for (int i = 0; i < 19; ++i) check(values[row * output.columns + i] == expected.at(row, i), "Gather");
  }
}

/// Normalize to another buffer and in place, and the norm that Gather's input carries.
void normalizes(const Subject& subject, Backend& backend, int rows, int columns, double offset, NormKind kind) {
  Random random(columns);
  auto x = random.matrix(rows, columns);
  for (double& value : x.values) value = subject.rounded(value + offset);
  auto stream = backend.stream();
  const RandomNorm norm(backend, *stream, random, columns, kind, columns % 2 == 0);
  std::vector<int32_t> same(rows), turned(rows);
  for (int row = 0; row < rows; ++row) same[row] = row, turned[row] = rows - 1 - row;
  auto same_index = upload_new(backend, *stream, ElementType::i32, 1, rows, same);
  auto turned_index = upload_new(backend, *stream, ElementType::i32, 1, rows, turned);
  const auto gather = [&](const Input& input, const Buffer& index) {
    Guarded gathered(backend, *stream, reference::Matrix(rows, columns));
    stream->run(Gather{.x = input, .index = index, .count = rows, .columns = columns, .y = *gathered.buffer});
    return part_of(gathered.read(*stream, rows, columns, "Gather"), gathered, rows, columns);
  };
  const auto normalize = [&](Guarded& from, Guarded& to) {
    const Input answer =
        stream->run(Normalize{.x = *from.buffer, .norm = norm.norm, .rows = rows, .columns = columns, .y = *to.buffer});
    const auto written = to.read(*stream, rows, columns, "Normalize");
    const auto values = gather(answer, *same_index);
    if (answer.norm == nullptr) check(part_of(written, to, rows, columns) == values, "Normalize answers what it wrote");
    return values;
  };

  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(rows, columns));
  const auto values = normalize(input, output);
  const auto from_gather = gather({*input.buffer, &norm.norm}, *turned_index);
  for (int row = 0; row < rows; ++row) {
    const auto own = values.begin() + static_cast<long>(row) * columns;
    check(std::equal(own, own + columns, from_gather.begin() + static_cast<long>(turned[row]) * columns),
          "Gather's norm is that of Normalize, to the bit");
  }
  check(normalize(input, input) == values, "Normalize in place");

  const auto expected = reference::normalize(x, norm.values);
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < columns; ++i) {
      const double bound = norm_bound(x, norm.values, row, i) + subject.roundoff(expected.at(row, i));
      check_near(values[static_cast<size_t>(row) * columns + i], expected.at(row, i), bound, "Normalize");
    }
  }
}

/// A norm whose weight and bias are the vectors of each row's branch: to another buffer, and in place.
void modulates(const Subject& subject, Backend& backend, int row_count, int columns, double offset, NormKind kind) {
  Random random(columns + 1);
  auto x = random.matrix(row_count, columns);
  for (double& value : x.values) value = subject.rounded(value + offset);
  auto stream = backend.stream();
  const RowList list(backend, *stream, rows_of_branches(row_count, row_count + 2), row_count + 2);
  const RandomVectors weight(backend, *stream, random, 3, columns, columns);
  const RandomVectors shift(backend, *stream, random, 3, columns, 0);
  const auto normalize = [&](Guarded& from, Guarded& to) {
    stream->run(ModulatedNorm{.x = *from.buffer,
                              .kind = kind,
                              .epsilon = 1e-6f,
                              .weight = weight.vectors(),
                              .shift = shift.vectors(),
                              .rows = list.rows(),
                              .columns = columns,
                              .y = *to.buffer});
    return part_of(to.read(*stream, row_count, columns, "ModulatedNorm"), to, row_count, columns);
  };
  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(row_count, columns));
  const auto values = normalize(input, output);
  check(normalize(input, input) == values, "ModulatedNorm in place");

  const auto branch = list.branches();
  const auto expected = reference::modulated_norm(x, kind, 1e-6f, weight.values, shift.values, branch);
  for (int row = 0; row < row_count; ++row) {
    for (int i = 0; i < columns; ++i) {
      const double bound = unscaled_norm_bound(x, kind, 1e-6f, row, i) * std::abs(weight.values.at(branch[row], i)) +
                           8 * kUnit + subject.roundoff(expected.at(row, i));
      check_near(values[static_cast<size_t>(row) * columns + i], expected.at(row, i), bound, "ModulatedNorm");
    }
  }
}

void finds_the_largest(Backend& backend) {
  auto stream = backend.stream();
  const auto largest = [&](const reference::Matrix& x, int columns) {
    Guarded buffer(backend, *stream, x, ElementType::f32);
    auto index = backend.allocate(ElementType::i32, 1, x.rows);
    stream->run(ArgMax{.x = *buffer.buffer, .rows = x.rows, .columns = columns, .index = *index});
    std::vector<int32_t> found(x.rows);
    stream->download(*index, 1, x.rows, found.data());
    return found;
  };
  reference::Matrix x(2, 5);
  x.values = {1, 7, 7, 2, 9, -3, -2, -2, -5, 0};
  check(largest(x, 4) == std::vector<int32_t>{1, 1}, "ArgMax takes the first of equals");
  reference::Matrix equals(3, 67);
  for (const int column : {41, 48, 66}) equals.at(1, column) = 3;
  for (int column = 0; column < equals.columns; ++column) equals.at(2, column) = -INFINITY;
  check(largest(equals, 67) == std::vector<int32_t>{0, 41, 0}, "ArgMax takes the first of equals in other lanes");
  Random random(9);
  for (const int columns : {1, 33, 513}) {
    const auto many = random.matrix(35, columns + 3);
    check(largest(many, columns) == reference::argmax(many, columns), "ArgMax");
  }
}

/// Numbers from offset - scale to offset + scale, and one that is larger, before them.
void softens(const Subject& subject, Backend& backend, int rows, int columns, double scale, double offset) {
  Random random(columns);
  auto x = random.matrix(rows, columns + 3);
  for (double& value : x.values) value = static_cast<float>(scale * value + offset);
  x.at(0, 0) = offset + 2 * scale;
  auto stream = backend.stream();
  Guarded input(backend, *stream, x, ElementType::f32), output(backend, *stream, reference::Matrix(rows, columns));
  stream->run(Softmax{.x = *input.buffer, .rows = rows, .columns = columns, .y = *output.buffer});
  const auto values = output.read(*stream, rows, columns, "Softmax");
  const auto expected = reference::softmax(x, columns);
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < columns; ++i) {
      // An exponent, of at most the range of x, is rounded three times, and e^x errs by 2e-7, or by e^-87 where it is
      // less than that (kernels.inl); so do the terms of the sum, which errs by as many units as it has terms, and then
      // the quotient is rounded twice.
      const double want = expected.at(row, i);
      const double bound = want * ((2 * 3 * 3 * scale + columns + 2) * kUnit + 2 * 2.5e-7) + 1.001 * std::exp(-87);
      check_near(values[static_cast<size_t>(row) * output.columns + i], want, bound + subject.roundoff(want),
                 "Softmax");
    }
  }
}

/// What was asked for before sees the old numbers, and the host may change its own at once.
void puts(Backend& backend) {
  constexpr int kCount = 5, kTimes = 4;
  auto stream = backend.stream();
  reference::Matrix x(kTimes, 3);
  for (int row = 0; row < kTimes; ++row) x.at(row, 0) = row;
  Guarded source(backend, *stream, x);
  std::vector<int32_t> index(kCount), unused(2);
  auto index_buffer = backend.allocate(ElementType::i32, 1, kCount);
  auto other = backend.allocate(ElementType::i32, 1, 2);
  std::vector<std::unique_ptr<Guarded>> gathered;
  for (int time = 0; time < kTimes; ++time) {
    gathered.push_back(std::make_unique<Guarded>(backend, *stream, reference::Matrix(kCount, 3)));
  }
  for (int time = 0; time < kTimes; ++time) {
    index.assign(kCount, time);
    unused.assign(2, 10 * time);
    stream->put({{.values = index, .target = *index_buffer}, {.values = unused, .target = *other}});
    stream->run(Gather{
        .x = {*source.buffer}, .index = *index_buffer, .count = kCount, .columns = 3, .y = *gathered[time]->buffer});
  }
  for (int time = 0; time < kTimes; ++time) {
    const auto values = gathered[time]->read(*stream, kCount, 3, "Gather after a put");
    for (int row = 0; row < kCount; ++row) {
      check(values[static_cast<size_t>(row) * gathered[time]->columns] == time, "put in the order of the stream");
    }
  }
  stream->download(*other, 1, 2, unused.data());
  check(unused == std::vector<int32_t>(2, 10 * (kTimes - 1)), "put to a second buffer");
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::types)) {
    auto backend = subject->open();
    selects_rows(*backend);
    for (const WeightFormat format : subject->formats()) {
      for (const int columns : {16, 33, 300}) {
        for (const bool normed : {true, false}) {
          for (const int sub_tokens : {1, 2}) embeds(*subject, *backend, format, columns, normed, sub_tokens);
        }
        for (const bool at_positions : {false, true}) looks_up(*subject, *backend, format, columns, at_positions);
      }
      for (const bool refresh : {false, true}) {
        for (const bool all_logits : {false, true}) {
          for (const int tokens : {5, 40}) selects_and_embeds(*backend, format, tokens, 1, refresh, all_logits);
          selects_and_embeds(*backend, format, 34, 2, refresh, all_logits);
        }
      }
    }
    gathers(*backend);
    for (const NormKind kind : {NormKind::layer_norm, NormKind::rms_norm}) {
      for (const int columns : {1, 7, 16, 33, 100, 260}) {
        normalizes(*subject, *backend, 19, columns, 0, kind);
        modulates(*subject, *backend, 19, columns, 0, kind);
      }
      normalizes(*subject, *backend, 3, 64, 30, kind);
      modulates(*subject, *backend, 3, 64, 30, kind);
    }
    finds_the_largest(*backend);
    for (const int columns : {1, 7, 32, 257, 1024}) softens(*subject, *backend, 19, columns, 8, 0);
    softens(*subject, *backend, 3, 64, 8, 300);  // e^300 is no f32
    softens(*subject, *backend, 3, 200, 150, 0);
    puts(*backend);
  }
  return report("rows");
}
