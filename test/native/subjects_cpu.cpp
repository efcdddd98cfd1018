// Every instruction set of this machine.
#include "../../native/cpu/cpu_backend.h"
#include "subjects.h"

namespace magnets::test {

namespace {

class CpuSubject : public Subject {
 public:
  explicit CpuSubject(std::string instruction_set) : instruction_set_(std::move(instruction_set)) {}
  std::string name() const override { return instruction_set_; }
  std::unique_ptr<Backend> open(int threads) const override { return cpu::open_cpu(threads, instruction_set_); }
  std::vector<WeightFormat> formats() const override {
    return {{WeightFormat::Values::f32}, {WeightFormat::Values::bf16}};
  }
  double rounded(double value) const override { return static_cast<float>(value); }
  double unit() const override { return kUnit; }
  double tiny() const override { return 0; }
  bool same_bits() const override { return true; }
  bool slow() const override { return false; }

 private:
  std::string instruction_set_;
};

}  // namespace

const std::vector<std::unique_ptr<Subject>>& subjects(Variety) {
  static const auto all = [] {
    std::vector<std::unique_ptr<Subject>> made;
    for (const std::string& set : cpu::instruction_sets()) made.push_back(std::make_unique<CpuSubject>(set));
    return made;
  }();
  return all;
}

}  // namespace magnets::test
