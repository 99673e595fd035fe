// Reads XML by expat, as Python's own interface hands it out: most elements are told to Python one by one, but a
// subtree of many small ones is recorded as flat columns. Which names are recorded is told from outside.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

namespace {

// --- What expat.h and pyexpat.h declare; the former is not part of a Python ------------------------------------------

using Expat = struct ExpatParser*;
using StartHandler = void (*)(void*, const char*, const char**);
using EndHandler = void (*)(void*, const char*);
using TextHandler = void (*)(void*, const char*, int);
using DoctypeHandler = void (*)(void*, const char*, const char*, const char*, int);

struct Memory {
    void* (*allocate)(size_t);
    void* (*reallocate)(void*, size_t);
    void (*release)(void*);
};

struct Interface {
    char* magic;
    int size;
    int major, minor, micro;
    const char* (*ErrorString)(int);
    int (*GetErrorCode)(Expat);
    unsigned long (*GetErrorColumnNumber)(Expat);
    unsigned long (*GetErrorLineNumber)(Expat);  // The same function as XML_GetCurrentLineNumber.
    int (*Parse)(Expat, const char*, int, int);
    Expat (*ParserCreate_MM)(const char*, const Memory*, const char*);
    void (*ParserFree)(Expat);
    void (*SetCharacterDataHandler)(Expat, TextHandler);
    void (*SetCommentHandler)(Expat, void*);
    void (*SetDefaultHandlerExpand)(Expat, TextHandler);
    void (*SetElementHandler)(Expat, StartHandler, EndHandler);
    void (*SetNamespaceDeclHandler)(Expat, void*, void*);
    void (*SetProcessingInstructionHandler)(Expat, void*);
    void (*SetUnknownEncodingHandler)(Expat, int (*)(void*, const char*, void*), void*);
    void (*SetUserData)(Expat, void*);
    void (*SetStartDoctypeDeclHandler)(Expat, DoctypeHandler);
    int (*SetEncoding)(Expat, const char*);
    int (*DefaultUnknownEncodingHandler)(void*, const char*, void*);
};

constexpr const char* kMagic = "pyexpat.expat_CAPI 1.1";
constexpr int kNoMemory = 1;

const Interface& expat() {
    static const Interface* found = [] {
        auto* capsule = static_cast<Interface*>(PyCapsule_Import("pyexpat.expat_CAPI", 0));
        if (capsule == nullptr) throw nb::python_error();
        if (std::strcmp(capsule->magic, kMagic) != 0 || capsule->size < static_cast<int>(sizeof(Interface)))
            throw std::runtime_error("this Python's pyexpat has another interface");
        return capsule;
    }();
    return* found;
}

// expat holds a tag, a comment or a processing instruction as a whole; without a limit one could fill the memory.
constexpr size_t kLargestAllocation = (size_t{64} << 20) + 4096;
constexpr size_t kLongestText = size_t{64} << 20;

void* allocate(size_t size) { return size > kLargestAllocation ? nullptr : std::malloc(size); }
void* reallocate(void* old, size_t size) { return size > kLargestAllocation ? nullptr : std::realloc(old, size); }
constexpr Memory kMemory{allocate, reallocate, std::free};

// --- Numbers ---------------------------------------------------------------------------------------------------------

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Correctly rounded; takes what Python's float() takes, but no underscores and no digits beyond ASCII.
bool to_number(const char* first, const char* last, double& number) {
    while (first != last && is_space(*first)) ++first;
    while (first != last && is_space(last[-1])) --last;
    if (first != last && *first == '+' && last - first > 1 && first[1] != '-') ++first;
    auto [end, error] = std::from_chars(first, last, number);
    if (first == last || end != last || last[-1] == ')') return false;  // "nan(...)" is C's, not Python's.
    if (error == std::errc::result_out_of_range) {
        const std::string text(first, last);
        number = PyOS_string_to_double(text.c_str(), nullptr, nullptr);
        if (number == -1.0 && PyErr_Occurred()) PyErr_Clear();
    }
    return error != std::errc::invalid_argument;
}

// --- Texts -----------------------------------------------------------------------------------------------------------

// Distinct texts, each with a number; Python sees them as a list that grows.
class Texts {
  public:
    nb::list list;

    int32_t find_or_add(std::string_view text) {
        if (2 * (places_.size() + 1) > slots_.size()) grow();
        const size_t hash = std::hash<std::string_view>{}(text);
        const size_t mask = slots_.size() - 1;
        size_t slot = hash & mask;
        for (; slots_[slot] != 0; slot = (slot + 1) & mask)
            if (at(slots_[slot] - 1) == text) return slots_[slot] - 1;
        if (places_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max()) / 2)
            throw std::length_error("too many distinct texts");
        PyObject* object = PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
        if (object == nullptr) throw nb::python_error();
        list.append(nb::steal(object));
        places_.emplace_back(characters_.size(), static_cast<uint32_t>(text.size()));
        characters_.insert(characters_.end(), text.begin(), text.end());
        slots_[slot] = static_cast<int32_t>(places_.size());
        return slots_[slot] - 1;
    }

  private:
    std::string_view at(int32_t index) const {
        const auto& [offset, size] = places_[static_cast<size_t>(index)];
        return {characters_.data() + offset, size};
    }

    void grow() {
        slots_.assign(slots_.empty() ? 256 : 2 * slots_.size(), 0);
        const size_t mask = slots_.size() - 1;
        for (size_t index = 0; index < places_.size(); ++index) {
            size_t slot = std::hash<std::string_view>{}(at(static_cast<int32_t>(index))) & mask;
            while (slots_[slot] != 0) slot = (slot + 1) & mask;
            slots_[slot] = static_cast<int32_t>(index) + 1;
        }
    }

    std::vector<int32_t> slots_;  // 1 + the index of a text; 0 is empty
    std::vector<std::pair<size_t, uint32_t>> places_;
    std::vector<char> characters_;
};

// --- Records ---------------------------------------------------------------------------------------------------------

constexpr int kAbsent = -1;
constexpr uint8_t kUnmarked = 255;

// What is wrong with a document; line 0 is where the reader is.
struct Refusal {
    std::string message;
    unsigned long line = 0;
};

std::string_view local_name(const char* name) {
    const std::string_view whole(name);
    const size_t colon = whole.rfind(':');
    return colon == std::string_view::npos ? whole : whole.substr(colon + 1);
}

// An element that is recorded: which of its attributes are texts and which are numbers.
struct Element {
    std::string name;
    std::vector<std::string> texts;
    std::vector<std::string> numbers;
};

// A tree of records: each has one mark, any number of entries, and records below it. What a mark is, its element's name
// says, or an attribute of its own.
struct Shape {
    Element record, entry, mark;
    std::string choice;
    std::map<std::string, int, std::less<>> choices;
    std::map<std::string, int, std::less<>> names;
    std::string kinds;  // names of all marks, also of those that are told to Python
};

// Columns of one kind of element.
class Columns {
  public:
    explicit Columns(const Element& element)
        : element_(element), texts(element.texts.size()), numbers(element.numbers.size()) {}

    void add_row() {
        for (auto& column : texts) column.push_back(kAbsent);
        for (auto& column : numbers) column.push_back(std::numeric_limits<double>::quiet_NaN());
    }

    // Put an attribute into the last row, if there is a column for it. expat gives all attributes of a name the same
    // pointer, which is quicker to find than the name.
    void set(const char* name, const char* value, Texts& pool) {
        auto& known = known_[(reinterpret_cast<uintptr_t>(name) >> 3) % known_.size()];
        if (known.first != name) known = {name, find(name)};
        const size_t slot = known.second;
        if (slot < texts.size()) {
            texts[slot].back() = pool.find_or_add(value);
        } else if (slot < texts.size() + numbers.size()) {
            if (!to_number(value, value + std::strlen(value), numbers[slot - texts.size()].back()))
                throw Refusal{"<" + element_.name + "> attribute " + name + " cannot be \"" + value +
                              "\": it is no number"};
        }
    }

  private:
    size_t find(std::string_view name) const {
        size_t slot = 0;
        for (const auto& text : element_.texts) {
            if (text == name) return slot;
            ++slot;
        }
        for (const auto& number : element_.numbers) {
            if (number == name) return slot;
            ++slot;
        }
        return slot;
    }

    const Element& element_;
    std::array<std::pair<const char*, size_t>, 32> known_{};

  public:
    std::vector<std::vector<int32_t>> texts;
    std::vector<std::vector<double>> numbers;
};

// The records of one subtree, in the document's order.
class Records {
  public:
    Records(const Shape& shape, Texts& pool)
        : shape_(shape), pool_(pool), records_(shape.record), entries_(shape.entry), marks_(shape.mark) {}

    // Whether the element is one of the shape's.
    bool start(const char* name, const char** attributes, Expat parser) {
        if (leaf_ != nullptr) return false;
        const std::string_view local = local_name(name);
        if (local == shape_.entry.name) {
            leaf_ = &shape_.entry.name;
            owners_.push_back(position_);
            entries_.add_row();
            for (; *attributes != nullptr; attributes += 2) entries_.set(attributes[0], attributes[1], pool_);
            require(entries_, shape_.entry, 1);
        } else if (local == shape_.record.name) {
            if (lines_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max()) - 1)
                throw Refusal{"there are too many <" + shape_.record.name + ">"};
            parents_.push_back(position_);
            position_ = static_cast<int32_t>(lines_.size());
            lines_.push_back(static_cast<int32_t>(expat().GetErrorLineNumber(parser)));
            codes_.push_back(kUnmarked);
            marks_.add_row();
            records_.add_row();
            for (; *attributes != nullptr; attributes += 2) records_.set(attributes[0], attributes[1], pool_);
        } else if (local == shape_.mark.name) {
            leaf_ = &shape_.mark.name;
            start_mark(attributes);
        } else if (const auto plain = shape_.names.find(local); plain != shape_.names.end()) {
            leaf_ = &plain->first;
            mark_once(plain->second);
        } else {
            return false;
        }
        return true;
    }

    // Whether the element that ends is the outermost.
    bool end() {
        if (leaf_ != nullptr) {
            leaf_ = nullptr;
            return false;
        }
        const auto index = static_cast<size_t>(position_);
        if (codes_[index] == kUnmarked) {
            throw Refusal{"<" + shape_.record.name + "> lacks its element " + shape_.kinds,
                          static_cast<unsigned long>(lines_[index])};
        }
        position_ = parents_[index];
        return position_ < 0;
    }

    // Mark the record that is open; whether it had no mark before.
    bool mark(int code) {
        uint8_t& known = codes_[static_cast<size_t>(position_)];
        const bool is_first = known == kUnmarked;
        known = static_cast<uint8_t>(code);
        return is_first;
    }

    // The element that is open: a mark's or entry's name, or the record's.
    const std::string& open() const { return leaf_ == nullptr ? shape_.record.name : *leaf_; }

    int32_t position() const { return position_; }

    // Columns of records (line, parent, code, texts, numbers), of marks (texts, numbers) and of entries (offset, texts,
    // numbers); an attribute that is absent everywhere has an empty column.
    nb::list columns() {
        nb::list all;
        append(all, lines_);
        append(all, parents_);
        append(all, codes_);
        append_all(all, records_);
        append_all(all, marks_);
        sort_entries();
        std::vector<int32_t> offset(lines_.size() + 1, 0);
        for (const int32_t owner : owners_) ++offset[static_cast<size_t>(owner) + 1];
        for (size_t i = 1; i < offset.size(); ++i) offset[i] += offset[i - 1];
        append(all, offset);
        append_all(all, entries_);
        return all;
    }

  private:
    void mark_once(int code) {
        if (!mark(code))
            throw Refusal{"<" + shape_.record.name + "> has more than one " + shape_.kinds + "; see <" + *leaf_ + ">"};
    }

    void start_mark(const char** attributes) {
        const char* choice = nullptr;
        const auto row = static_cast<size_t>(position_);
        for (; *attributes != nullptr; attributes += 2) {
            if (shape_.choice == attributes[0]) {
                choice = attributes[1];
            } else if (row + 1 == lines_.size()) {
                marks_.set(attributes[0], attributes[1], pool_);
            } else {  // A mark that comes after records below its own.
                for (size_t i = 0; i < marks_.texts.size(); ++i)
                    if (shape_.mark.texts[i] == attributes[0]) marks_.texts[i][row] = pool_.find_or_add(attributes[1]);
            }
        }
        if (choice == nullptr) throw Refusal{"<" + shape_.mark.name + "> lacks its attribute " + shape_.choice};
        const auto found = shape_.choices.find(std::string_view(choice));
        if (found == shape_.choices.end()) {
            std::string all;
            for (const auto& [name, code] : shape_.choices) all += (all.empty() ? "" : ", ") + name;
            throw Refusal{"<" + shape_.mark.name + "> attribute " + shape_.choice + " cannot be \"" + choice +
                          "\": it is none of " + all};
        }
        mark_once(found->second);
        if (marks_.texts[0][row] == kAbsent)
            throw Refusal{"<" + shape_.mark.name + "> lacks its attribute " + shape_.mark.texts[0]};
    }

    static void require(const Columns& columns, const Element& element, size_t count) {
        for (size_t i = 0; i < count; ++i)
            if (columns.texts[i].back() == kAbsent)
                throw Refusal{"<" + element.name + "> lacks its attribute " + element.texts[i]};
    }

    // Entries that come after records below their own are brought to their owner's others.
    void sort_entries() {
        if (std::is_sorted(owners_.begin(), owners_.end())) return;
        std::vector<size_t> order(owners_.size());
        std::iota(order.begin(), order.end(), size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return owners_[a] < owners_[b]; });
        const auto sorted = [&](auto& column) {
            auto old = column;
            for (size_t i = 0; i < order.size(); ++i) column[i] = old[order[i]];
        };
        for (auto& column : entries_.texts) sorted(column);
        for (auto& column : entries_.numbers) sorted(column);
        sorted(owners_);
    }

    template <class T>
    static void append(nb::list& all, const std::vector<T>& column) {
        all.append(nb::bytes(reinterpret_cast<const char*>(column.data()), column.size() * sizeof(T)));
    }

    static void append_all(nb::list& all, const Columns& columns) {
        const auto append_told = [&](const auto& column, auto is_told) {
            if (std::any_of(column.begin(), column.end(), is_told)) append(all, column);
            else all.append(nb::bytes("", 0));
        };
        for (const auto& column : columns.texts) append_told(column, [](int32_t text) { return text != kAbsent; });
        for (const auto& column : columns.numbers) append_told(column, [](double number) { return number == number; });
    }

    const Shape& shape_;
    Texts& pool_;
    Columns records_, entries_, marks_;
    std::vector<int32_t> lines_, parents_, owners_;
    std::vector<uint8_t> codes_;
    int32_t position_ = kAbsent;
    const std::string* leaf_ = nullptr;
};

// --- The reader ------------------------------------------------------------------------------------------------------

// Tells a document's elements to Python's handlers:
//   start(name, attributes, line) tells what to do with the element: True: tell its text too; False: leave it and all
//     below it out; Records: record it and all below it that these know, only `end` is told of it; None: nothing more;
//   end(text), with None where the text was not asked for;
//   refuse(message, line), which raises the error for the document.
class Reader {
  public:
    Reader() : parser_(expat().ParserCreate_MM(nullptr, &kMemory, nullptr)) {
        if (parser_ == nullptr) throw std::bad_alloc();
        expat().SetUserData(parser_, this);
        expat().SetElementHandler(parser_, on_start, on_end);
        expat().SetStartDoctypeDeclHandler(parser_, on_doctype);
        expat().SetUnknownEncodingHandler(parser_, expat().DefaultUnknownEncodingHandler, nullptr);
        frames_.emplace_back();
    }
    ~Reader() { expat().ParserFree(parser_); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // Read the next piece of the document.
    void feed(const nb::bytes& piece, bool is_last, nb::callable start, nb::callable end, nb::callable refuse) {
        if (piece.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
            throw std::invalid_argument("a piece is shorter than 2 GB");
        start_ = &start;
        end_ = &end;
        refuse_ = &refuse;
        const int is_read = expat().Parse(parser_, piece.c_str(), static_cast<int>(piece.size()), is_last);
        if (error_) std::rethrow_exception(error_);
        if (PyErr_Occurred()) {  // of the handler of unknown encodings
            const nb::python_error unknown;
            refuse("the document cannot be decoded: " + std::string(nb::str(unknown.value()).c_str()), line());
        }
        if (is_read == 0) {
            const int code = expat().GetErrorCode(parser_);
            const std::string message = code == kNoMemory
                                            ? "a tag or a comment is larger than 16 MiB"
                                            : std::string("not well-formed: ") + expat().ErrorString(code);
            refuse(message, line());
        }
    }

  private:
    // Records that are open, with how many elements in them are told to Python; the first frame has none.
    struct Frame {
        nb::object owner;
        Records* records = nullptr;
        size_t told = 0;
    };

    unsigned long line() const { return expat().GetErrorLineNumber(parser_); }

    static void on_start(void* data, const char* name, const char** attributes) {
        auto& self = *static_cast<Reader*>(data);
        self.guarded([&] { self.start(name, attributes); });
    }
    static void on_end(void* data, const char*) {
        auto& self = *static_cast<Reader*>(data);
        self.guarded([&] { self.end(); });
    }
    static void on_text(void* data, const char* text, int size) {
        auto& self = *static_cast<Reader*>(data);
        self.guarded([&] {
            self.text_.append(text, static_cast<size_t>(size));
            if (self.text_.size() > kLongestText) throw Refusal{"a text is longer than 64 MiB"};
        });
    }
    static void on_doctype(void* data, const char*, const char*, const char*, int has_declarations) {
        auto& self = *static_cast<Reader*>(data);
        self.guarded([&] {
            if (has_declarations != 0) throw Refusal{kEntities};
            expat().SetDefaultHandlerExpand(self.parser_, on_other);
        });
    }
    // Sees, of references, those to entities that an external document type may declare, and those of XML's own.
    static void on_other(void* data, const char* text, int size) {
        const std::string_view whole(text, static_cast<size_t>(size));
        if (whole.empty() || whole[0] != '&' || whole[1] == '#') return;
        for (const char* own : {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;"})
            if (whole == own) return;
        auto& self = *static_cast<Reader*>(data);
        self.guarded([&] { throw Refusal{kEntities}; });
    }

    // Run a handler; expat, which is C, cannot be left by an exception, so that it is kept for `feed` to throw.
    template <class Handler>
    void guarded(Handler handler) noexcept {
        if (error_) return;
        try {
            try {
                handler();
            } catch (const Refusal& refusal) {
                (*refuse_)(refusal.message, refusal.line == 0 ? line() : refusal.line);
                throw std::logic_error("refuse must raise");
            }
        } catch (...) {
            error_ = std::current_exception();
            expat().SetElementHandler(parser_, nullptr, nullptr);
            expat().SetCharacterDataHandler(parser_, nullptr);
            expat().SetDefaultHandlerExpand(parser_, nullptr);
        }
    }

    void start(const char* name, const char** attributes) {
        if (skipped_ > 0) {
            ++skipped_;
            return;
        }
        Frame& frame = frames_.back();
        if (frame.records != nullptr && frame.told == 0 && frame.records->start(name, attributes, parser_)) return;
        nb::dict values;
        for (const char** item = attributes; *item != nullptr; item += 2) values[name_of(item[0])] = nb::str(item[1]);
        const std::string_view local = local_name(name);
        nb::object answer = (*start_)(nb::str(local.data(), local.size()), values, line());
        if (answer.ptr() == Py_False) {
            skipped_ = 1;
            listen(false);
            return;
        }
        if (nb::isinstance<Records>(answer)) {
            Frame inner{answer, nb::cast<Records*>(answer), 0};
            if (!inner.records->start(name, attributes, parser_)) throw std::logic_error("no record begins here");
            frames_.push_back(std::move(inner));
            listen(false);
            return;
        }
        ++frame.told;
        texts_.push_back(answer.is_none() ? kNoText : text_.size());
        listen(!answer.is_none());
    }

    void end() {
        if (skipped_ > 0) {
            if (--skipped_ == 0) listen_again();
            return;
        }
        Frame& frame = frames_.back();
        if (frame.told > 0) {
            --frame.told;
            const size_t from = texts_.back();
            texts_.pop_back();
            if (from == kNoText) {
                (*end_)(nb::none());
            } else {
                nb::str text(text_.data() + from, text_.size() - from);
                text_.resize(from);
                (*end_)(text);
            }
        } else if (frame.records->end()) {
            (*end_)(nb::none());
            frames_.pop_back();
        } else {
            return;
        }
        listen_again();
    }

    // Listen to the text of the element that is open again, if Python asked for it.
    void listen_again() { listen(frames_.back().told > 0 && texts_.back() != kNoText); }

    void listen(bool to_text) {
        if (to_text != listens_) expat().SetCharacterDataHandler(parser_, to_text ? on_text : nullptr);
        listens_ = to_text;
    }

    // expat gives all attributes of a name the same pointer.
    nb::handle name_of(const char* name) {
        nb::object& known = names_[name];
        if (!known.is_valid()) known = nb::steal(PyUnicode_InternFromString(name));
        return known;
    }

    static constexpr size_t kNoText = static_cast<size_t>(-1);
    static constexpr const char* kEntities =
        "entity declarations and references, and a <!DOCTYPE> with declarations of its own, are refused; write the "
        "text out";

    Expat parser_;
    const nb::callable* start_ = nullptr;
    const nb::callable* end_ = nullptr;
    const nb::callable* refuse_ = nullptr;
    std::exception_ptr error_;
    std::vector<Frame> frames_;
    std::vector<size_t> texts_;  // where the text of each open element begins in `text_`
    std::string text_;
    std::unordered_map<const char*, nb::object> names_;
    size_t skipped_ = 0;
    bool listens_ = false;
};

using ElementSpec = std::tuple<std::string, std::vector<std::string>, std::vector<std::string>>;

Element to_element(const ElementSpec& spec) { return {std::get<0>(spec), std::get<1>(spec), std::get<2>(spec)}; }

}  // namespace

void register_elements(nb::module_& module) {
    nb::class_<Shape>(module, "Shape")
        .def(
            "__init__",
            [](Shape* self, const ElementSpec& record, const ElementSpec& entry, const ElementSpec& mark,
               const std::string& choice, const std::map<std::string, int, std::less<>>& choices,
               const std::map<std::string, int, std::less<>>& names, const std::string& kinds) {
                new (self) Shape{to_element(record), to_element(entry), to_element(mark), choice, choices, names, kinds};
            },
            nb::arg("record"), nb::arg("entry"), nb::arg("mark"), nb::arg("choice"), nb::arg("choices"),
            nb::arg("names"), nb::arg("kinds"));
    nb::class_<Texts>(module, "Texts").def(nb::init<>()).def_ro("list", &Texts::list);
    nb::class_<Records>(module, "Records")
        .def(nb::init<const Shape&, Texts&>(), nb::arg("shape"), nb::arg("texts"), nb::keep_alive<1, 2>(),
             nb::keep_alive<1, 3>())
        .def("mark", &Records::mark, nb::arg("code"))
        .def_prop_ro("open", &Records::open)
        .def_prop_ro("position", &Records::position)
        .def("columns", &Records::columns);
    nb::class_<Reader>(module, "Reader")
        .def(nb::init<>())
        .def("feed", &Reader::feed, nb::arg("piece"), nb::arg("is_last"), nb::arg("start"), nb::arg("end"),
             nb::arg("refuse"));
}
