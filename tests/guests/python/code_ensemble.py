"""An ensemble in code, in Python: the twin of `tests/guests/examples/code_ensemble.rs`."""

import consort_sdk as consort


@consort.export
class Guest(consort.Ensemble):
    """Does with its models what the argument `what` or else its config says. They read a
    number `x` and give another."""

    def __init__(self, config, assets):
        self.what = config

    def describe(self):
        return (
            consort.Signature()
            .input("x", consort.INT64, [1])
            .output("x", consort.INT64, [1])
        )

    def run(self, example, args):
        def ask(name):
            return consort.Model.open(name).submit_example(example.share())

        what = args.get("what", self.what)
        match what:
            case "adds both":
                results = consort.wait_all([ask("a"), ask("b")])
                for result in results:
                    if isinstance(result, consort.PluginError):
                        raise result
                total = sum(result["x"].element() for result in results)
                return {"x": consort.Tensor.single(consort.INT64, total)}
            case "takes the quicker":
                calls = [ask("a"), ask("b")]
                return calls[consort.wait_any(calls)].wait()
            case "asks the dear one when unsure":
                cheap = ask("a").wait()
                return ask("b").wait() if 0 <= cheap["x"].element() < 10 else cheap
            case "falls back":
                try:
                    return ask("a").wait()
                except consort.PluginError:
                    return ask("b").wait()
            case "reads ends and widens":
                text = consort.Tensor.single_text("abcdef")
                ends = [*text.heads(2), *text.tails(3)]
                count = sum(len(end) + length for end, length in ends)
                narrow = consort.Tensor.single(consort.UINT8, count)
                return {"x": narrow.widen(consort.INT64)}
        raise consort.Failed(f'"{what}" is nothing I do')
