import FuzzKit

FuzzTarget.run(oneOf: FuzzTarget.sinks + FuzzTarget.receiver)
