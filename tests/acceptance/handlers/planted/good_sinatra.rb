# A CDR webhook with Sinatra, served by Puma.
require "json"
require "sinatra/base"
require "puma"
require "puma/events"
require "puma/server"

PATH = "/webhook/cdr"
MAX_BODY = 1 << 20 # bytes; a CDR has about 500

class Webhook < Sinatra::Base
  set :environment, :production
  set :protection, false # it refuses JSON from other origins
  set :host_authorization, {}

  LOCK = Mutex.new
  ROWS = {} # by cmiuuid, which names a leg; request_id and call_id are shared by a call's legs

  helpers do
    def take(record)
      return if record["type"] == "event" # leg a's event has the cmiuuid of leg a's CDR
      cmiuuid = record["cmiuuid"]
      if cmiuuid.is_a?(String) && !cmiuuid.empty?
        LOCK.synchronize { ROWS[cmiuuid] ||= record } # deliveries repeat: the first one counts
      elsif record["type"] == "cdr"
        halt 400, "a CDR needs its cmiuuid"
      end
    end

    def read_record(body)
      record = JSON.parse(body.force_encoding("UTF-8"), create_additions: false)
      JSON.generate(record) # fails for a lone surrogate and for a number out of range
      record.is_a?(Hash) ? record : halt(400, "not a JSON object")
    rescue JSON::JSONError, EncodingError, FloatDomainError, SystemStackError
      halt 400, "not JSON"
    end
  end

  post PATH do
    length = request.content_length.to_i
    halt 413, "too large" if length > MAX_BODY
    body = request.body.read(MAX_BODY + 1) || ""
    halt 413, "too large" if body.bytesize > MAX_BODY
    halt 400, "not UTF-8" unless body.dup.force_encoding("UTF-8").valid_encoding?
    take(read_record(body))
    "got it"
  end

  get PATH do
    query = Rack::Utils.parse_query(request.query_string)
    record = query.transform_values { |value| (value.is_a?(Array) ? value.first : value).to_s.scrub }
    take(record.transform_keys(&:scrub))
    "got it"
  rescue ArgumentError # a % without two digits
    halt 400, "bad query"
  end

  get "/calls/*" do |cmiuuid|
    content_type :json
    row = LOCK.synchronize { ROWS[cmiuuid] }
    row ? JSON.generate([row]) : halt(404, "[]")
  end
end

server = Puma::Server.new(Webhook, Puma::Events.strings, { first_data_timeout: 10, persistent_timeout: 10 })
listener = server.add_tcp_listener("127.0.0.1", Integer(ENV.fetch("PORT", "5000")))
puts "ready http://127.0.0.1:#{listener.addr[1]}#{PATH}"
$stdout.flush
server.run.join
